"""Starting an actor: the starter learns the outcome, and a start that failed leaves nothing (rule G1)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, cast

import trio
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import (
    Call,
    Caller,
    Context,
    Crash,
    Ignore,
    InitOutcome,
    Killed,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Refuse,
    Reply,
    Server,
    System,
    open_system,
)
from actorllama.errors import NameTaken, StartRefused
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules

Manner: TypeAlias = Literal["ready", "ignore", "refuse", "raise", "nonsense", "slow"]
MANNERS: tuple[Manner, ...] = ("ready", "ignore", "refuse", "raise", "nonsense", "slow")


class Ask(Call[str]):
    """Answer."""


@define(kw_only=True)
class Starter(Server[Ask, int, object]):
    """Begins in the manner that it is told."""

    manner: Manner
    seen: list[object] = field(factory=list[object])

    async def init(self, ctx: Context) -> InitOutcome:
        self.seen.append("init")
        await trio.sleep(1)
        match self.manner:
            case "ignore":
                return Ignore()
            case "refuse":
                return Refuse("not today")
            case "raise":
                raise ZeroDivisionError("boom")
            case "nonsense":
                return cast("InitOutcome", "nonsense")
            case "slow":
                await trio.sleep(100)
            case _:
                pass
        return Ready(continue_with="continue")

    async def handle_continue(self, term: object) -> Outcome:
        self.seen.append(term)
        return NoReply()

    async def handle_call(self, message: Ask, caller: Caller) -> Outcome:
        return Reply("here")

    async def handle_cast(self, message: int) -> Outcome:
        self.seen.append(message)
        return NoReply()


async def try_to_start(system: System, actor: Starter) -> Ref | StartRefused:
    try:
        return await system.start(lambda: actor, name="it", init_timeout_s=10)
    except StartRefused as refused:
        return refused


def check_outcome(manner: Manner, outcome: Ref | StartRefused) -> None:
    match outcome, manner:
        case Ref(), "ready" | "ignore":
            assert outcome.is_alive == (manner == "ready")
            assert manner == "ready" or outcome.exit_reason == Normal()
        case StartRefused(reason="not today"), "refuse":
            pass
        case StartRefused(reason=Crash(exc=ZeroDivisionError())), "raise":
            pass
        case StartRefused(reason=Crash()), "nonsense":
            pass
        case StartRefused(reason=Killed()), "slow":
            pass
        case _:
            raise AssertionError(f"{manner}: {outcome!r}")


@given(manner=st.sampled_from(MANNERS), schedule=schedules(max_choices=20))
def prop_the_starter_learns_how_it_went(manner: Manner, schedule: Strategy) -> None:
    async def scenario() -> None:
        actor = Starter(manner=manner)
        async with open_system() as system:
            outcome = await try_to_start(system, actor)
            assert (system.whereis("it") is None) == (manner != "ready")
            assert trio.current_time() == (10 if manner == "slow" else 1)
            if manner == "ready":
                assert isinstance(outcome, Ref)
                assert await outcome.call(Ask()) == "here"
            else:
                again = await system.start(lambda: Starter(manner="ready"), name="it")
                assert again.is_alive
            check_outcome(manner, outcome)

    explore(scenario, strategy=schedule)


@given(n_starters=st.integers(2, 4), schedule=schedules(max_choices=30))
def prop_a_name_has_one_holder_and_the_others_do_not_begin(n_starters: int, schedule: Strategy) -> None:
    async def scenario() -> None:
        seen: list[object] = []
        n_taken = 0

        async with open_system() as system:

            async def start() -> None:
                nonlocal n_taken
                try:
                    await system.start(lambda: Starter(manner="ready", seen=seen), name="it")
                except NameTaken:
                    n_taken += 1

            async with trio.open_nursery() as nursery:
                for _ in range(n_starters):
                    nursery.start_soon(start)
            assert n_taken == n_starters - 1
            await wait_all_tasks_blocked()
        assert seen == ["init", "continue"]

    explore(scenario, strategy=schedule)


@given(n_casts=st.integers(0, 4), schedule=schedules(max_choices=30))
def prop_the_continuation_precedes_what_was_sent_during_init(n_casts: int, schedule: Strategy) -> None:
    """Rule G12."""

    async def scenario() -> None:
        actor = Starter(manner="ready")
        async with open_system() as system:

            async def send() -> None:
                await trio.sleep(0.5)
                ref = system.whereis("it")
                assert ref is not None
                for number in range(n_casts):
                    await ref.cast(number)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                ref = await system.start(lambda: actor, name="it")
            assert await ref.call(Ask(), timeout_s=math.inf) == "here"
            assert actor.seen == ["init", "continue", *range(n_casts)]

    explore(scenario, strategy=schedule)
