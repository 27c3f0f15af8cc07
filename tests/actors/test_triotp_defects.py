"""Nine defects that were found in another actor library on trio, each as a promise of ours.

They are listed in this order in docs/semantics.md.
"""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actorllama.actors import (
    Caller,
    ChildSpec,
    Context,
    Crash,
    ExitReason,
    InitOutcome,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    Shutdown,
    Stop,
    Supervisor,
    open_system,
    resume,
    statistics,
    suspend,
    which_children,
)
from actorllama.errors import ActorExited, CallTimeout, RestartIntensityReached, StartRefused


class Doer(Server[str, str, object]):
    """Obeys words; keeps what was cast, and why it ended."""

    def __init__(self, seen: list[str] | None = None) -> None:
        self.seen = [] if seen is None else seen

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        match message:
            case "raise":
                raise ValueError(message)
            case "sleep":
                await trio.sleep(50)
            case "cast to self":
                for number in range(200):
                    await self.ctx.ref.cast(str(number))
            case _:
                pass
        return Reply(message)

    async def handle_cast(self, message: str) -> Outcome:
        self.seen.append(message)
        if message == "stop":
            return Stop(Normal())
        if message == "raise":
            raise ValueError(message)
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        self.seen.append(str(reason))


async def test_defect_1_a_caller_hears_of_the_crash_that_it_caused() -> None:
    async with open_system() as system:
        ref = await system.start(Doer)
        with pytest.raises(ActorExited) as caught:
            await ref.call("raise")
        assert isinstance(caught.value.reason, Crash)
        assert isinstance(caught.value.reason.exc, ValueError)


async def test_defect_2_a_late_reply_harms_nobody_and_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_system() as system:
        ref = await system.start(Doer)
        with pytest.raises(CallTimeout):
            await ref.call("sleep", timeout_s=0.1)
        await trio.sleep(60)
        assert await ref.call("still here") == "still here"
        assert (await statistics(ref)).n_late_replies == 1


async def test_defect_3_a_timeout_covers_the_wait_for_room_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_system() as system:
        ref = await system.start(Doer, mailbox_capacity=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask_in_vain, ref)
            await trio.testing.wait_all_tasks_blocked()
            ref.cast_nowait("fills the mailbox")
            before_s = trio.current_time()
            with pytest.raises(CallTimeout):
                await ref.call("no room", timeout_s=0.1)
            assert trio.current_time() - before_s == pytest.approx(0.1, abs=1e-6)
            nursery.cancel_scope.cancel()


async def _ask_in_vain(ref: Ref) -> None:
    await ref.call("sleep", timeout_s=100.0)


async def test_defect_4_an_actor_may_cast_to_itself_however_full_its_mailbox() -> None:
    seen: list[str] = []
    async with open_system() as system:
        ref = await system.start(lambda: Doer(seen), mailbox_capacity=1)
        assert await ref.call("cast to self") == "cast to self"
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [str(number) for number in range(200)]


async def test_defect_5_the_error_of_init_reaches_the_starter() -> None:
    class Broken(Doer):
        async def init(self, ctx: Context) -> InitOutcome:
            raise KeyError("config")

    async with open_system() as system:
        with pytest.raises(StartRefused) as caught:
            await system.start(Broken)
        assert isinstance(caught.value.__cause__, KeyError)


async def test_defect_6_terminate_runs_when_the_world_around_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    seen: list[str] = []
    with trio.move_on_after(1):
        async with open_system() as system:
            await system.start(lambda: Doer(seen))
            await trio.sleep_forever()
    assert seen == ["shutdown"]


async def test_defect_7_restarts_count_per_supervisor_and_the_rest_stops_in_order() -> None:
    seen: list[str] = []

    class Named(Doer):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def init(self, ctx: Context) -> InitOutcome:
            seen.append(f"{self.name} up")
            return Ready()

        async def terminate(self, reason: ExitReason) -> None:
            seen.append(f"{self.name} down")

    async with open_system() as system:
        specs = tuple(ChildSpec(id=id_, name=id_, start=partial(Named, id_)) for id_ in "abc")
        sup = await system.start(lambda: Supervisor(children=specs, max_restarts=1))
        for name in ("a", "b"):
            await system.via(name).cast("raise")
            await trio.testing.wait_all_tasks_blocked()
        assert sup.exit_reason is not None
        assert isinstance(sup.exit_reason, Shutdown)
        assert isinstance(sup.exit_reason.term, RestartIntensityReached)
    assert seen == ["a up", "b up", "c up", "a down", "a up", "b down", "c down", "a down"]


async def test_defect_8_a_permanent_child_that_ends_too_often_ends_its_supervisor() -> None:
    async with open_system() as system:
        spec = ChildSpec(id="a", name="a", start=Doer)
        sup = await system.start(lambda: Supervisor(children=(spec,), max_restarts=2))
        for _ in range(2):
            await system.via("a").cast("stop")
            await trio.testing.wait_all_tasks_blocked()
            assert len(await which_children(sup)) == 1
        await system.via("a").cast("stop")
        await trio.testing.wait_all_tasks_blocked()
        assert not sup.is_alive


async def test_defect_9_queued_callers_hear_why_the_server_stopped() -> None:
    reasons: list[object] = []

    async def ask() -> None:
        with pytest.raises(ActorExited) as caught:
            await ref.call("too late")
        reasons.append(caught.value.reason)

    async with open_system() as system:
        ref = await system.start(Doer, mailbox_capacity=3)
        await suspend(ref)
        ref.cast_nowait("stop")
        async with trio.open_nursery() as nursery:
            for _ in range(3):  # one of them waits for room
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await resume(ref)
    assert reasons == [Normal()] * 3
