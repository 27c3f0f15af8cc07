"""A supervisor for many children of one kind, started and stopped on demand."""

from __future__ import annotations

import trio

from actorllama.actors.child import Child
from actorllama.actors.outcomes import Halt
from actorllama.actors.overseer import Overseer
from actorllama.actors.reason import ExitReason
from actorllama.actors.ref import Ref
from actorllama.actors.restart import Backoff, is_restarted
from actorllama.actors.spec import ChildSpec
from actorllama.errors import ChildConflict, ConfigError, TooManyChildren

__all__ = ["DynamicSupervisor"]


class DynamicSupervisor(Overseer):
    """Look after children that come and go: one_for_one, no order, stopped all at once.

    Children are known by their references (ids need not differ, and say nothing here). A child that is
    not restarted is forgotten, as is one whose restart is ignored. After Elixir's DynamicSupervisor,
    which after OTP's simple_one_for_one.
    """

    def __init__(
        self,
        *,
        max_children: int | None = None,
        max_restarts: int = 1,
        period_s: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        """Check the flags; it begins without children.

        Raises:
            ConfigError: A bound that is broken.
        """
        super().__init__(max_restarts=max_restarts, period_s=period_s, backoff=backoff)
        if max_children is not None and max_children < 0:
            raise ConfigError(
                field="max_children", value=max_children, source="DynamicSupervisor", hint="At least 0."
            )
        self.max_children = max_children

    async def terminate(self, reason: ExitReason) -> None:
        """Stop all children side by side, each within its grace."""
        async with trio.open_nursery() as nursery:
            for child in tuple(self.children):
                nursery.start_soon(self.stop_child, child)

    async def child_exited(self, child: Child, reason: ExitReason) -> Halt | None:
        """Restart the child, or forget it."""
        if is_restarted(child.spec.restart, reason):
            return await self.restart(child, reason)
        del self.children[child]
        return None

    async def bring_back(self, child: Child) -> None:
        """Start the child again; an ignored one is forgotten."""
        if await self.launch_or_retry(child) and child.process is None:
            del self.children[child]

    async def start_child(self, spec: ChildSpec) -> Ref:
        """Start one more child."""
        if self.max_children is not None and len(self.children) >= self.max_children:
            raise TooManyChildren(n_children=len(self.children), max_children=self.max_children)
        child = Child(spec)
        ref = await self.launch(child)
        if child.process is not None:
            self.children[child] = None
        return ref

    async def terminate_child(self, child: str | Ref) -> None:
        """Stop a child by its reference; a dead one is fine."""
        if isinstance(child, str):
            raise ChildConflict(child=child, state="by_ref_only")
        known = self.running.get(child)
        if known is not None:
            await self.stop_child(known)
            del self.children[known]

    async def restart_child(self, child_id: str) -> Ref:
        """Refuse: a child that is not running is forgotten."""
        raise ChildConflict(child=child_id, state="by_ref_only")

    def delete_child(self, child_id: str) -> None:
        """Refuse: a child that is not running is forgotten."""
        raise ChildConflict(child=child_id, state="by_ref_only")
