"""The way from the engine's thread to the readers of turns, past the mailbox of the model's actor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Final

from actorllama.actors import Ref
from actorllama.engine import events
from actorllama.engine.commands import Command, GrantCredit
from actorllama.engine.gauge_board import GaugeBoard
from actorllama.engine.reports import LoopFailed, LoopStatistics, StepReport
from actorllama.engine.stream import TurnStream
from actorllama.errors import StateError
from actorllama.ids import TurnId
from actorllama.telemetry import Bus

__all__ = ["Delivery"]

_SHOW_S: Final = 0.05  # between two looks at mere progress: nobody sees more of it


class Delivery:
    """Hand text to its readers as it comes; tell the actor only what there is to decide about.

    Most reports bring text and nothing else, and find the event loop cold: llama.cpp has used the caches
    meanwhile. A message to the actor for each, and one back from each reader, cost more than all readers
    together. So text takes the short way, and only the ends of turns and copies of cells are messages. Text
    still comes before the end that it belongs to: that is in the same report or a later one, and takes the
    longer way.

    A suspended actor decides nothing: text goes on as far as the readers go, and the ends wait.

    Owner: the model actor, whose desk opens and closes the streams; a dead one's delivery hands out nothing.
    All live on the trio thread.
    """

    def __init__(
        self,
        *,
        ref: Ref,
        submit: Callable[[Command], None],
        board: GaugeBoard,
        tell: Callable[[LoopStatistics], None],
        bus: Bus,
    ) -> None:
        """Begin without a stream.

        Args:
            ref: The actor.
            submit: Hands a command to its engine loop.
            board: Where progress is shown.
            tell: Hears the statistics of every report, if somebody listens.
            bus: Knows that.
        """
        self.statistics: LoopStatistics | None = None
        """What the loop had done when it reported last; ``None`` before."""
        self._ref = ref
        self._submit = submit
        self._board = board
        self._tell = tell
        self._bus = bus
        self._shown_at_s = 0.0
        self._streams: dict[TurnId, TurnStream] = {}
        self._due: list[tuple[TurnId, int]] = []
        self._is_handing_out = False

    def open(self, turn_id: TurnId, stream: TurnStream) -> None:
        """Hand the text of a turn to this stream from now on."""
        self._streams[turn_id] = stream
        stream.connect(partial(self._grant, turn_id))

    def close(self, turn_id: TurnId) -> None:
        """Forget the stream of a turn, if it had one: it has ended."""
        self._streams.pop(turn_id, None)

    def deliver(self, report: StepReport) -> None:
        """Take a report; on the trio thread, outside of any task of ours: it never raises.

        Cost: 20 to 30 us right after a step, when all is cold, and 3 us for each reader that waits.
        """
        if not self._ref.is_alive:
            self._ref.info_nowait(report)  # dropped, and told so
            return
        self.statistics = report.statistics
        streams = self._streams
        self._is_handing_out = True
        try:
            for turn_id, text, n_tokens in report.pieces:
                stream = streams.get(turn_id)
                if stream is not None:
                    stream.push(text, n_tokens)
        except Exception as exc:  # noqa: BLE001 - a reader's sink has raised; the actor crashes with it
            self._ref.info_nowait(LoopFailed(error=exc))
            return
        finally:
            self._is_handing_out = False
        if self._due:
            grants, self._due = tuple(self._due), []
            self._send(grants)
        if self._bus.is_listening(events.STEP_REPORTED):
            self._tell(report.statistics)
        if report.ended or report.captured:
            self._ref.info_nowait(report)
        elif (now_s := perf_counter()) - self._shown_at_s >= _SHOW_S:
            self._shown_at_s = now_s
            self._board.progress(report.statistics.n_decoded)

    def _grant(self, turn_id: TurnId, n_tokens: int) -> None:
        """Give credit back: for all readers of a report together, for a slow one when it reads."""
        if self._is_handing_out:
            self._due.append((turn_id, n_tokens))
        elif self._ref.is_alive:
            self._send(((turn_id, n_tokens),))

    def _send(self, grants: tuple[tuple[TurnId, int], ...]) -> None:
        # A host that has ended takes its models with it: their callers hear of it, and a reader need not.
        with suppress(StateError):
            self._submit(GrantCredit(grants=grants))
