"""A supervisor with children in a fixed order."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from actorllama.actors.child import Child
from actorllama.actors.context import Context
from actorllama.actors.outcomes import Halt, InitOutcome, Ready, Refuse
from actorllama.actors.overseer import Interrupted, Overseer
from actorllama.actors.reason import ExitReason, Shutdown
from actorllama.actors.ref import Ref
from actorllama.actors.restart import STRATEGIES, Backoff, Strategy, is_restarted, plan_cascade
from actorllama.actors.spec import ChildSpec
from actorllama.errors import ActorError, ChildConflict, ChildNotFound, ConfigError

__all__ = ["AutoShutdown", "Supervisor"]

AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
AUTO_SHUTDOWNS: Final = ("never", "any_significant", "all_significant")


class Supervisor(Overseer):
    """Start children from left to right, restart them by a strategy, stop them from right to left.

    ``one_for_one`` restarts the child that died; ``rest_for_one`` that one and those started after it;
    ``one_for_all`` all. More than ``max_restarts`` restarts of any children within ``period_s`` stop the
    supervisor, for the reason ``Shutdown(RestartIntensityReached(...))``. Children added later are lost
    when the supervisor itself is restarted: it begins again with ``children``.
    """

    def __init__(
        self,
        *,
        strategy: Strategy = "one_for_one",
        children: tuple[ChildSpec, ...] = (),
        max_restarts: int = 1,
        period_s: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
        backoff: Backoff | None = None,
    ) -> None:
        """Check everything before anything starts.

        Raises:
            ConfigError: An unknown strategy, a bound that is broken, two children with one id, or a
                significant child without ``auto_shutdown``.
        """
        super().__init__(max_restarts=max_restarts, period_s=period_s, backoff=backoff)
        _check("strategy", strategy, ok=strategy in STRATEGIES)
        _check("auto_shutdown", auto_shutdown, ok=auto_shutdown in AUTO_SHUTDOWNS)
        self.strategy: Strategy = strategy
        self.auto_shutdown: AutoShutdown = auto_shutdown
        self.specs = children
        ids = [spec.id for spec in children]
        for spec in children:
            _check("children", spec.id, ok=ids.count(spec.id) == 1)
            self._check_significance(spec)

    async def init(self, ctx: Context) -> InitOutcome:
        """Start the children in order; if one fails, stop the others in reverse order and refuse."""
        for spec in self.specs:
            child = Child(spec)
            try:
                await self.launch(child)
            except Interrupted:
                await self.terminate(Shutdown())
                return Refuse(Shutdown("asked to stop while starting"))
            except ActorError as exc:
                await self.terminate(Shutdown())
                return Refuse(Shutdown(exc))
            if child.state == "running" or spec.restart != "temporary":
                self.children[child] = None
        return Ready()

    async def terminate(self, reason: ExitReason) -> None:
        """Stop the children one by one, last started first."""
        for child in reversed(tuple(self.children)):
            await self.stop_child(child)

    # -- ends and restarts ---------------------------------------------------------------------

    async def child_exited(self, child: Child, reason: ExitReason) -> Halt | None:
        """Restart the child, or leave it, and see whether that ends the supervisor."""
        if is_restarted(child.spec.restart, reason):
            return await self.restart(child, reason)
        if child.spec.restart == "temporary":
            del self.children[child]
        return self._auto_shutdown(child)

    def _auto_shutdown(self, child: Child) -> Halt | None:
        if not child.spec.significant or self.auto_shutdown == "never":
            return None
        others = [other for other in self.children if other.spec.significant and other.state != "stopped"]
        if self.auto_shutdown == "all_significant" and others:
            return None
        return Halt(Shutdown("auto_shutdown"))

    async def prepare_restart(self, child: Child) -> None:
        """Stop the siblings that the strategy takes along, last started first."""
        for other in reversed(plan_cascade(self.strategy, tuple(self.children), child)):
            await self.stop_child(other)
            if other is not child and other.spec.restart == "temporary":
                del self.children[other]

    async def bring_back(self, child: Child) -> None:
        """Stop what the strategy takes along, then start it all in order."""
        await self.prepare_restart(child)
        for other in plan_cascade(self.strategy, tuple(self.children), child):
            if not await self.launch_or_retry(other):
                return

    # -- administration ------------------------------------------------------------------------

    async def start_child(self, spec: ChildSpec) -> Ref:
        """Add a child at the end and start it."""
        known = next((child for child in self.children if child.spec.id == spec.id), None)
        if known is not None:
            state = "already_present" if known.process is None else "already_started"
            raise ChildConflict(child=spec.id, state=state, ref=known.info.ref)
        self._check_significance(spec)
        child = Child(spec)
        ref = await self.launch(child)
        if child.state == "running" or spec.restart != "temporary":
            self.children[child] = None
        return ref

    async def terminate_child(self, child: str | Ref) -> None:
        """Stop a child by its id; a temporary one is forgotten."""
        if isinstance(child, Ref):
            raise ChildConflict(child=repr(child), state="by_id_only")
        found = self._find(child)
        await self.stop_child(found)
        if found.spec.restart == "temporary":
            del self.children[found]

    async def restart_child(self, child_id: str) -> Ref:
        """Start a stopped child."""
        return await self.launch(self._find_stopped(child_id))

    def delete_child(self, child_id: str) -> None:
        """Forget a stopped child."""
        del self.children[self._find_stopped(child_id)]

    def _find(self, child_id: str) -> Child:
        for child in self.children:
            if child.spec.id == child_id:
                return child
        raise ChildNotFound(child=child_id)

    def _find_stopped(self, child_id: str) -> Child:
        child = self._find(child_id)
        if child.state != "stopped":
            raise ChildConflict(child=child_id, state=child.state, ref=child.info.ref)
        return child

    def _check_significance(self, spec: ChildSpec) -> None:
        _check("significant", spec.id, ok=not (spec.significant and self.auto_shutdown == "never"))


def _check(field: str, value: object, *, ok: bool) -> None:
    if not ok:
        raise ConfigError(
            field=field, value=value, source="Supervisor", hint="See the docstring of Supervisor."
        )
