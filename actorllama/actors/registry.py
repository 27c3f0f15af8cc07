"""Names for actors: unique or shared keys, freed by death before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal

from attrs import frozen

from actorllama.actors.ref import Ref
from actorllama.errors import ActorNotFound, NameTaken

__all__ = ["Entry", "KeyChange", "Registry"]


@frozen(kw_only=True)
class Entry:
    """One registration: who, and the value that was left with it."""

    ref: Ref
    value: object = None


@frozen(kw_only=True)
class KeyChange:
    """What a listener is told: an actor was entered under a key, or taken out, by its death too."""

    what: Literal["register", "unregister"]
    key: Hashable
    ref: Ref


class Registry:
    """Map keys to live actors; entries of the dead do not exist.

    With ``keys="unique"`` a key has one holder, with ``"duplicate"`` any number, in order of registration.
    An actor may hold many keys.

    Owner: the system that it belongs to, which calls :meth:`forget` at each death. Synchronous: what one
    statement finds is true until the next ``await``.
    """

    __slots__ = ("_by_key", "_by_ref", "_listeners", "keys")

    def __init__(self, *, keys: Literal["unique", "duplicate"] = "unique") -> None:
        """Make an empty registry. Use ``system.make_registry`` to have one that hears of deaths."""
        self.keys = keys
        self._by_key: dict[Hashable, dict[Ref, Entry]] = {}
        self._by_ref: dict[Ref, dict[Hashable, None]] = {}
        self._listeners: dict[Ref, None] = {}

    def register(self, key: Hashable, ref: Ref, *, value: object = None) -> None:
        """Enter a live actor under a key.

        Raises:
            NameTaken: The key has another live holder, or this actor holds it already.
            ActorNotFound: The actor is dead.
        """
        if not ref.is_alive:
            raise ActorNotFound(name=repr(ref))
        holders = self._by_key.get(key, {})
        if ref in holders or self.is_taken(key):
            raise NameTaken(name=str(key), ref=next(iter(holders)))
        self._by_key[key] = holders
        holders[ref] = Entry(ref=ref, value=value)
        self._by_ref.setdefault(ref, {})[key] = None
        self._tell("register", key, ref)

    def is_taken(self, key: Hashable) -> bool:
        """Say whether nobody else can be registered under a key."""
        return self.keys == "unique" and key in self._by_key

    def unregister(self, key: Hashable, ref: Ref) -> None:
        """Take an entry out; nothing happens if there is none."""
        holders = self._by_key.get(key)
        if holders is None or holders.pop(ref, None) is None:
            return
        if not holders:
            del self._by_key[key]
        keys = self._by_ref[ref]
        del keys[key]
        if not keys:
            del self._by_ref[ref]
        self._tell("unregister", key, ref)

    def whereis(self, key: Hashable) -> Ref | None:
        """Find the holder of a key, the eldest if there are several."""
        holders = self._by_key.get(key)
        return next(iter(holders)) if holders else None

    def lookup(self, key: Hashable) -> tuple[Entry, ...]:
        """List the entries of a key, eldest first."""
        return tuple(self._by_key.get(key, {}).values())

    def keys_of(self, ref: Ref) -> tuple[Hashable, ...]:
        """List the keys that an actor holds, eldest first."""
        return tuple(self._by_ref.get(ref, ()))

    def dispatch(self, key: Hashable, send: Callable[[Entry], None]) -> int:
        """Do something with every entry of a key, eldest first; count them."""
        entries = self.lookup(key)
        for entry in entries:
            send(entry)
        return len(entries)

    def listen(self, ref: Ref) -> None:
        """Send a `KeyChange` to an actor's ``handle_info`` at every change, until it dies."""
        self._listeners[ref] = None

    def forget(self, ref: Ref) -> None:
        """Take out all entries of an actor."""
        self._listeners.pop(ref, None)
        for key in tuple(self._by_ref.get(ref, ())):
            self.unregister(key, ref)

    def __len__(self) -> int:
        """Count the entries."""
        return sum(len(holders) for holders in self._by_key.values())

    def _tell(self, what: Literal["register", "unregister"], key: Hashable, ref: Ref) -> None:
        for listener in self._listeners:
            listener.info_nowait(KeyChange(what=what, key=key, ref=ref))
