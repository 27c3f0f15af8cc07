"""The short way of text: to its readers at once, to the model's actor only what it must decide about."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import Context, InitOutcome, NoReply, Outcome, Ready, Ref, Server, open_system, suspend
from actorllama.engine import GaugeBoard, TextPiece, TurnStream, events
from actorllama.engine.commands import Command, GrantCredit
from actorllama.engine.delivery import Delivery
from actorllama.engine.reports import LoopFailed, LoopStatistics, Piece, Report, StepReport, TurnEnd
from actorllama.errors import StateError
from actorllama.ids import SeqId, TurnId
from actorllama.telemetry import Bus, Event, Measurements, Metadata

pytestmark = pytest.mark.usefixtures("loop_stays_free")


class Listener(Server[None, None, Report]):
    """In the place of a model's actor: it keeps what it is told."""

    def __init__(self, got: list[Report]) -> None:
        self._got = got

    async def init(self, ctx: Context) -> InitOutcome:
        return Ready()

    async def handle_info(self, message: Report) -> Outcome:
        self._got.append(message)
        return NoReply()


@define
class Rig:
    """A delivery, and what becomes of what it is given."""

    ref: Ref
    kill: Callable[[], None]
    delivery: Delivery
    board: GaugeBoard
    commands: list[Command]
    told: list[LoopStatistics]
    got: list[Report]

    def open(self, turn_id: int, *, window: int = 4) -> TurnStream:
        stream = TurnStream(window=window)
        self.delivery.open(TurnId(turn_id), stream)
        return stream


def statistics_of(n_decoded: int) -> LoopStatistics:
    return LoopStatistics(
        n_steps=1, n_prefilled=0, n_decoded=n_decoded, n_live=1, decode_s=0.0, prefill_s=0.0, sample_s=0.0
    )


def report_of(*pieces: tuple[int, str, int], ends: tuple[int, ...] = (), n_decoded: int = 1) -> StepReport:
    return StepReport(
        pieces=tuple(Piece(TurnId(turn_id), text, n_tokens) for turn_id, text, n_tokens in pieces),
        ended=tuple(end_of(turn_id) for turn_id in ends),
        statistics=statistics_of(n_decoded),
    )


def end_of(turn_id: int) -> TurnEnd:
    return TurnEnd(
        turn_id=TurnId(turn_id),
        seq_id=SeqId(0),
        finish_reason="length",
        stop=None,
        text="",
        tokens=(),
        n_prompt=1,
        n_draws=0,
        n_steps=0,
        started_at_s=0.0,
        first_token_at_s=None,
        ended_at_s=0.0,
    )


@asynccontextmanager
async def open_rig(bus: Bus, submit: Callable[[Command], None] | None = None) -> AsyncGenerator[Rig, None]:
    got: list[Report] = []
    commands: list[Command] = []
    told: list[LoopStatistics] = []
    board = GaugeBoard(model="m", n_seq=1, queue_capacity=1)
    async with open_system(bus=bus) as system:
        ref = await system.start(lambda: Listener(got))
        yield Rig(
            ref=ref,
            kill=lambda: system.kill(ref, why="test"),
            delivery=Delivery(
                ref=ref, submit=submit or commands.append, board=board, tell=told.append, bus=bus
            ),
            board=board,
            commands=commands,
            told=told,
            got=got,
        )


async def test_text_alone_goes_to_its_readers_and_is_no_message(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        one, other = rig.open(1), rig.open(2)
        rig.delivery.deliver(report_of((1, "a", 1), (2, "b", 1), n_decoded=7))
        assert await one.receive() == TextPiece(text="a", n_tokens=1)
        assert await other.receive() == TextPiece(text="b", n_tokens=1)
        await wait_all_tasks_blocked()
        assert rig.got == []
        assert rig.delivery.statistics == statistics_of(7)


async def test_an_end_is_told_to_the_actor_after_the_text_before_it_was_handed_out(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        stream = rig.open(1)
        report = report_of((1, "last", 1), ends=(1,))
        rig.delivery.deliver(report)
        assert rig.got == []
        stream.close()
        assert await stream.receive() == TextPiece(text="last", n_tokens=1)
        assert await stream.receive() is None
        await wait_all_tasks_blocked()
        assert rig.got == [report]


async def test_a_suspended_actor_holds_ends_back_and_not_text(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        stream = rig.open(1)
        await suspend(rig.ref)
        rig.delivery.deliver(report_of((1, "a", 1), ends=(1,)))
        assert await stream.receive() == TextPiece(text="a", n_tokens=1)
        await wait_all_tasks_blocked()
        assert rig.got == []


async def test_the_credit_of_all_waiting_readers_goes_back_in_one_command(bus: Bus) -> None:
    async with open_rig(bus) as rig, trio.open_nursery() as nursery:
        for turn_id in (1, 2, 3):
            nursery.start_soon(rig.open(turn_id, window=4).receive)
        await wait_all_tasks_blocked()
        rig.delivery.deliver(report_of((1, "a", 2), (2, "b", 1), (3, "c", 4)))
        assert rig.commands == [GrantCredit(grants=((TurnId(1), 2), (TurnId(3), 4)))]


async def test_a_reader_that_is_behind_gives_its_credit_back_when_it_reads(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        stream = rig.open(1, window=4)
        rig.delivery.deliver(report_of((1, "a", 1)))
        rig.delivery.deliver(report_of((1, "b", 3)))
        assert rig.commands == []
        assert await stream.receive() == TextPiece(text="ab", n_tokens=4)
        assert rig.commands == [GrantCredit(grants=((TurnId(1), 4),))]


async def test_what_comes_for_a_turn_that_was_closed_is_nobodys(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        stream = rig.open(1)
        rig.delivery.close(TurnId(1))
        rig.delivery.close(TurnId(9))
        rig.delivery.deliver(report_of((1, "a", 4), (9, "b", 4)))
        stream.close()
        assert await stream.receive() is None
        assert rig.commands == []


async def test_nothing_is_handed_out_after_the_death_of_the_actor(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        stream = rig.open(1, window=2)
        rig.delivery.deliver(report_of((1, "before", 2)))
        rig.kill()
        rig.delivery.deliver(report_of((1, "after", 2)))
        assert await stream.receive() == TextPiece(text="before", n_tokens=2)
        assert rig.commands == [], "there is no engine loop to give credit to"


async def test_a_host_that_has_ended_does_not_hurt_who_reads(bus: Bus) -> None:
    def refuse(_command: Command) -> None:
        raise StateError(operation="engine host", reason="it is closed")

    async with open_rig(bus, refuse) as rig:
        stream = rig.open(1, window=2)
        rig.delivery.deliver(report_of((1, "a", 2)))
        assert await stream.receive() == TextPiece(text="a", n_tokens=2)


async def test_a_sink_that_raises_fails_the_model_and_not_the_event_loop(bus: Bus) -> None:
    failure = RuntimeError("the sink")

    def sink(_piece: TextPiece) -> None:
        raise failure

    async with open_rig(bus) as rig:
        rig.open(1).divert(sink)
        rig.delivery.deliver(report_of((1, "a", 1)))
        await wait_all_tasks_blocked()
        (failed,) = rig.got
        assert isinstance(failed, LoopFailed)
        assert failed.error is failure


async def test_statistics_are_told_to_those_who_listen(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        rig.delivery.deliver(report_of())
        assert rig.told == []

        def hear(_event: Event, _measured: Measurements, _about: Metadata, _config: None) -> None:
            pass

        bus.attach("test", events.STEP_REPORTED, hear, None)
        rig.delivery.deliver(report_of(n_decoded=5))
        rig.delivery.deliver(report_of(n_decoded=6, ends=(1,)))
        assert rig.told == [statistics_of(5), statistics_of(6)]


async def test_progress_is_shown_without_the_actor(bus: Bus) -> None:
    async with open_rig(bus) as rig:
        rig.delivery.deliver(report_of(n_decoded=3))
        assert rig.board.read().n_decoded == 3
