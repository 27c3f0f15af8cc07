"""Native resources: used by one call at a time, freed exactly once, never under a call (rule P13)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import trio
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors import Context, InitOutcome, NoReply, Outcome, Ready, Server, open_system
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules

R = TypeVar("R")
End: TypeAlias = Literal["kill", "stop", "crash", "release", "close the system"]
ENDS: tuple[End, ...] = ("kill", "stop", "crash", "release", "close the system")


@define
class Resource:
    """Stands in for a llama.cpp context: it knows what would be fatal to a real one."""

    call_s: float
    n_inside: int = 0
    n_calls: int = 0
    n_freed: int = 0
    n_aborts: int = 0
    aborted: trio.Event = field(factory=trio.Event)

    def use(self) -> None:
        self.n_calls += 1
        assert self.n_freed == 0, "used after it was freed"

    def free(self) -> None:
        self.n_freed += 1

    def abort(self) -> None:
        self.n_aborts += 1
        self.aborted.set()


@define
class FakeThreads:
    """Runs native calls as tasks that take virtual time and cannot be cancelled."""

    resource: Resource

    async def __call__(self, fn: Callable[[], R], /, *, limiter: trio.CapacityLimiter) -> R:
        async with limiter:
            self.resource.n_inside += 1
            with trio.CancelScope(shield=True), trio.move_on_after(self.resource.call_s):
                await self.resource.aborted.wait()
            result = fn()
            self.resource.n_inside -= 1
            return result


@define(kw_only=True)
class Engine(Server[object, str, object]):
    """Owns the resource and calls it once for each cast."""

    resource: Resource

    async def init(self, ctx: Context) -> InitOutcome:
        self.context = ctx
        self.owned = ctx.own(self.resource, Resource.free, abort=Resource.abort)
        return Ready()

    async def handle_cast(self, message: str) -> Outcome:
        if message == "crash":
            raise ZeroDivisionError("boom")
        if message == "release":
            self.context.release(self.owned)
        else:
            await self.context.run_native(Resource.use, self.owned)
        return NoReply()


class Successor(Server[object, object, object]):
    """Takes the name, and nothing else."""


@given(
    n_calls=st.integers(0, 3),
    call_s=st.sampled_from([0.5, 1.0, 3.0]),
    end_s=st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    end=st.sampled_from(ENDS),
    schedule=schedules(max_choices=40),
)
def prop_a_native_resource_is_freed_once_and_never_under_a_call(
    n_calls: int, call_s: float, end_s: float, end: End, schedule: Strategy
) -> None:
    resources: list[Resource] = []

    async def scenario() -> None:
        resource = Resource(call_s=call_s)
        resources[:] = [resource]
        async with open_system(runner=FakeThreads(resource)) as system:
            ref = await system.start(lambda: Engine(resource=resource), name="engine", shutdown=1.0)
            for _ in range(n_calls):
                await ref.cast("use")
            await trio.sleep(end_s)
            match end:
                case "kill":
                    system.kill(ref, why="a stranger")
                case "stop":
                    await ref.stop(timeout_s=math.inf)
                case "crash" | "release":
                    await ref.cast(end)
                case _:
                    pass
            if end == "kill":  # dead at once for everybody, whatever the thread is doing
                assert (await system.start(Successor, name="engine")).is_alive
        assert resource.n_freed == 1
        assert resource.n_inside == 0
        assert resource.n_calls <= n_calls
        assert resource.n_aborts <= 1

    def one_call_at_a_time() -> None:
        for resource in resources:
            assert resource.n_inside <= 1
            assert resource.n_freed <= 1

    explore(scenario, strategy=schedule, invariant=one_call_at_a_time)
