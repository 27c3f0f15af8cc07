"""An address by name: looked up at every use, so that it survives restarts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar, overload

from actorllama.actors.call import Call
from actorllama.actors.ref import DEFAULT_TIMEOUT_S, Ref
from actorllama.actors.registry import Registry
from actorllama.errors import ActorNotFound

__all__ = ["Via"]

R = TypeVar("R")


class Via:
    """Send to whoever holds a key now; the eldest holder if the registry has duplicate keys.

    As a child's ``name`` it is registered before ``init`` runs.

    Owner: anybody.
    """

    __slots__ = ("key", "registry")

    def __init__(self, registry: Registry, key: Hashable) -> None:
        """Name a key of a registry."""
        self.registry = registry
        self.key = key

    def __repr__(self) -> str:
        """Show the key."""
        return f"<via {self.key}>"

    def __str__(self) -> str:
        """Show the key alone."""
        return str(self.key)

    @property
    def ref(self) -> Ref:
        """The present holder.

        Raises:
            ActorNotFound: There is none.
        """
        ref = self.registry.whereis(self.key)
        if ref is None:
            raise ActorNotFound(name=str(self.key))
        return ref

    @overload
    async def call(self, message: Call[R], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> R: ...
    @overload
    async def call(self, message: object, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> object: ...

    async def call(self, message: object, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> object:
        """Call the holder; see `Ref.call`.

        Raises:
            ActorNotFound: There is none.
        """
        return await self.ref.call(message, timeout_s=timeout_s)

    async def cast(self, message: object) -> None:
        """Cast to the holder, if there is one; see `Ref.cast`."""
        ref = self.registry.whereis(self.key)
        if ref is not None:
            await ref.cast(message)

    def cast_nowait(self, message: object) -> None:
        """Cast to the holder, if there is one; see `Ref.cast_nowait`."""
        ref = self.registry.whereis(self.key)
        if ref is not None:
            ref.cast_nowait(message)

    def info_nowait(self, message: object) -> None:
        """Send to the holder; see `Ref.info_nowait`.

        Raises:
            ActorNotFound: There is none.
        """
        self.ref.info_nowait(message)
