"""A supervisor whose children write down when they start and end, and the operations that disturb it."""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

import trio
from attrs import define, field, frozen
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import (
    ChildSpec,
    Context,
    InitOutcome,
    Normal,
    Outcome,
    Ready,
    Ref,
    Refuse,
    Server,
    Shutdown,
    Stop,
    Supervisor,
    System,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from actorllama.actors.reason import ExitReason
from actorllama.errors import ActorExited, ChildConflict, ChildNotFound, StartRefused
from props.supervisor_model import ModelSpec, SupervisorModel, Why

__all__ = ["Admin", "Advance", "ChildEnds", "FailInits", "Family", "Operation", "disturb_model"]


@frozen
class ChildEnds:
    """A child ends by itself, or is killed by a stranger."""

    child: str
    why: Why


@frozen
class Admin:
    """Somebody asks the supervisor for something."""

    verb: Literal["terminate", "restart", "delete", "start"]
    child: str


@frozen
class FailInits:
    """The next inits of a child fail."""

    child: str
    n: int


@frozen
class Advance:
    """Time passes."""

    seconds: float


Operation: TypeAlias = ChildEnds | Admin | FailInits | Advance


@frozen
class End:
    why: Why


@define(kw_only=True)
class Worker(Server[object, End, object]):
    """One child."""

    id: str
    events: list[tuple[str, str]]
    failing_inits: dict[str, int]

    async def init(self, ctx: Context) -> InitOutcome:
        self.events.append(("init", self.id))
        await trio.lowlevel.checkpoint()
        n_failing = self.failing_inits.get(self.id, 0)
        if n_failing > 0:
            self.failing_inits[self.id] = n_failing - 1
            return Refuse("not this time")
        return Ready()

    async def handle_cast(self, message: End) -> Outcome:
        match message.why:
            case "normal":
                return Stop(Normal())
            case "shutdown":
                return Stop(Shutdown("enough"))
            case _:
                raise ZeroDivisionError("boom")

    async def terminate(self, reason: ExitReason) -> None:
        await trio.lowlevel.checkpoint()
        self.events.append(("terminate", self.id))


@define(kw_only=True)
class Family:
    """A real supervisor that is disturbed as its model is."""

    system: System
    model: SupervisorModel
    events: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    failing_inits: dict[str, int] = field(factory=dict[str, int])
    supervisor: Ref | None = None

    async def start(self, specs: list[ModelSpec]) -> Ref:
        """Start the supervisor with these children."""
        children = tuple(self._spec(spec) for spec in specs)
        self.supervisor = await self.system.start(
            lambda: Supervisor(
                strategy=self.model.strategy,
                children=children,
                max_restarts=self.model.max_restarts,
                period_s=self.model.period_s,
                auto_shutdown=self.model.auto_shutdown,
            ),
            name="supervisor",
        )
        return self.supervisor

    async def disturb(self, operation: Operation) -> str:
        """Do one operation; say what the supervisor answered."""
        match operation:
            case ChildEnds(child, why):
                await self.end_child(child, why)
                return ""
            case Admin(verb, child):
                return await self._administer(verb, child)
            case FailInits(child, n):
                self.failing_inits[child] = n
                return ""
            case Advance(seconds):
                await trio.sleep(seconds)
                return ""
            case _:
                assert_never(operation)

    async def end_child(self, child: str, why: Why) -> None:
        """Make a child end, if it runs."""
        ref = self.system.whereis(child)
        if ref is None:
            return
        if why == "killed":
            self.system.kill(ref, why="a stranger")
        else:
            await ref.cast(End(why))

    async def which(self) -> list[tuple[str, str]]:
        """List the children as the model does."""
        assert self.supervisor is not None
        infos = await which_children(self.supervisor)
        for info in infos:
            holder = self.system.whereis(info.id)
            assert holder is info.ref, f"{info} is registered as {holder}"
            assert (info.ref is not None and info.ref.is_alive) == (info.state == "running"), info
        return [(info.id, info.state) for info in infos]

    async def settle(self) -> None:
        """Let everything happen that does not need time."""
        await wait_all_tasks_blocked()

    async def _administer(self, verb: str, child: str) -> str:
        assert self.supervisor is not None
        try:
            match verb:
                case "terminate":
                    await terminate_child(self.supervisor, child)
                case "restart":
                    await restart_child(self.supervisor, child)
                case "delete":
                    await delete_child(self.supervisor, child)
                case _:
                    await start_child(self.supervisor, self._spec(ModelSpec(id=child)))
        except ChildConflict as conflict:
            return conflict.state
        except ChildNotFound:
            return "not_found"
        except StartRefused:
            return "error"
        except ActorExited:
            return "dead"
        return "ok"

    def _spec(self, spec: ModelSpec) -> ChildSpec:
        return ChildSpec(
            id=spec.id,
            name=spec.id,
            restart=spec.restart,
            significant=spec.significant,
            start=lambda: Worker(id=spec.id, events=self.events, failing_inits=self.failing_inits),
        )


def disturb_model(model: SupervisorModel, operation: Operation) -> str:
    """Do the same to the model."""
    match operation:
        case ChildEnds(child, why):
            model.child_exits(child, why)
            return ""
        case Admin("terminate", child):
            return model.terminate_child(child)
        case Admin("restart", child):
            return model.restart_child(child)
        case Admin("delete", child):
            return model.delete_child(child)
        case Admin(_, child):
            return model.start_child(ModelSpec(id=child))
        case FailInits(child, n):
            model.failing_inits[child] = n
            return ""
        case Advance(seconds):
            model.advance(seconds)
            return ""
        case _:
            assert_never(operation)
