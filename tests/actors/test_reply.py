"""The reply slot: one reply, now or later, a value or an error, and never a hang."""

from __future__ import annotations

import math

import pytest
import trio
from attrs import frozen

from actorllama.actors import (
    Call,
    Caller,
    Crash,
    NoReply,
    Outcome,
    Ready,
    Reply,
    Server,
    Stop,
    open_system,
    statistics,
)
from actorllama.errors import ActorExited, CallTimeout

Clock = trio.testing.MockClock


@frozen
class Length(Call[int]):
    """How long is a text? Typed: the reply is an int."""

    text: str


class Keeper(Server[object, str, object]):
    """Keeps its callers, and lets a test answer them."""

    def __init__(self, kept: list[Caller]) -> None:
        self.kept = kept

    async def handle_call(self, message: object, caller: Caller) -> Outcome:
        match message:
            case Length(text):
                return Reply(len(text))
            case "keep":
                self.kept.append(caller)
                return NoReply(continue_with="kept")
            case "error":
                caller.reply_error(KeyError("the caller's own fault"))
                return NoReply()
            case "continue":
                return Reply("now", continue_with="go on")
            case "halt":
                return Reply("now", continue_with="stop")
            case _:
                await trio.sleep(1)
                return Reply(message)

    async def handle_continue(self, term: object) -> Outcome:
        return Stop(Crash(ValueError())) if term == "stop" else NoReply()

    async def handle_cast(self, message: str) -> Outcome:
        return Reply("nobody called")


async def test_a_call_that_names_its_reply_is_typed() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        n: int = await ref.call(Length("four"))
        assert n == 4


async def test_an_error_reply_is_raised_in_the_caller_with_its_type_and_the_actor_lives_on() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        for _ in range(2):
            with pytest.raises(KeyError, match="own fault"):
                await ref.call("error")


async def test_a_reply_from_anywhere_ends_the_call_once() -> None:
    kept: list[Caller] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(kept))
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                assert await ref.call("keep", timeout_s=math.inf) == "first"

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            [caller] = kept
            assert (caller.is_waiting, repr(caller)) == (True, "<Caller 'keep' waiting>")
            caller.reply("first")
            caller.reply("second")
            caller.reply_error(ValueError())
        assert repr(caller) == "<Caller 'keep' replied>"
        counts = await statistics(ref)
        assert (counts.n_out, counts.n_late_replies) == (1, 2)


async def test_a_reply_after_a_cancellation_or_the_actors_death_is_dropped(autojump_clock: Clock) -> None:
    kept: list[Caller] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(kept))
        with trio.move_on_after(1):
            await ref.call("keep")
        with pytest.raises(CallTimeout) as caught:
            await ref.call("keep", timeout_s=1)
        assert (caught.value.ref, caught.value.timeout_s) == (ref, 1)
        assert [repr(caller) for caller in kept] == ["<Caller 'keep' gone>"] * 2
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(ActorExited):
                    await ref.call("keep")

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            system.kill(ref, why="test")
        for caller in kept:
            caller.reply("too late")
            caller.reply_error(ValueError())
        assert repr(kept[-1]) == "<Caller 'keep' failed>"


async def test_a_reply_may_be_followed_by_a_continuation() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        assert await ref.call("continue") == "now"
        assert await ref.call("halt") == "now"
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(ref.exit_reason, Crash)


async def test_replying_to_a_cast_crashes() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        await ref.cast("x")
        await trio.testing.wait_all_tasks_blocked()
        assert "BadReturn" in str(ref.exit_reason)


async def test_settled_deadlines_do_not_pile_up(autojump_clock: Clock) -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        for _ in range(1000):
            await ref.call(Length("x"), timeout_s=100.0)
        assert len(system.timers._heap) < 200
        with pytest.raises(CallTimeout):
            await ref.call("slow", timeout_s=0.5)
        assert trio.current_time() == pytest.approx(0.5, abs=1e-3)


async def test_init_is_optional() -> None:
    class Bare(Server[object, object, object]):
        pass

    assert (await Bare().init(None)) == Ready()  # type: ignore[arg-type]
