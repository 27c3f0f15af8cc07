"""Where a model actor hangs its gauges out."""

from __future__ import annotations

from time import perf_counter
from typing import cast

from attrs import evolve

from actorllama.engine.canary import Exactness
from actorllama.engine.gauges import DeskReadings, ModelGauges, ModelPhase, TurnCounts
from actorllama.engine.token_rate import TokenRate

__all__ = ["GaugeBoard", "down"]

_NOTHING = DeskReadings(
    n_live=0, n_queued=0, n_free_slots=0, counts=TurnCounts(), last_hit_tokens=None, last_hit_source=None
)


class GaugeBoard:
    """One reference that is replaced whole: no lock, and no reader ever sees half of a change.

    It is a part of the model's spec, so that it outlives a crash of the actor and whoever reads it need not
    notice.

    Owner: the model's actor, of which there is one at a time, writes; any thread reads.
    """

    def __init__(self, *, model: str, n_seq: int, queue_capacity: int) -> None:
        """Show a model that nobody has begun to load."""
        self._rate = TokenRate()
        self._progress: tuple[float, int] | None = None  # newer than the gauges, if there is any
        self._gauges = ModelGauges(model=model, phase="down", n_seq=n_seq, queue_capacity=queue_capacity)

    def read(self) -> ModelGauges:
        """Give what was hung out last, and how far the running turns have come since.

        Cost: a few microseconds while turns run, else one attribute.
        """
        progress, shown = self._progress, self._gauges
        if progress is None or progress[0] <= shown.updated_at_s:
            return shown
        at_s, n_decoded = progress
        return evolve(shown, n_decoded=n_decoded, tokens_per_s=self._rate.per_s, updated_at_s=at_s)

    def begin(self) -> None:
        """Show that an actor has started to load the model."""
        old = self._gauges
        self._rate = TokenRate()
        self._gauges = ModelGauges(
            model=old.model,
            n_seq=old.n_seq,
            queue_capacity=old.queue_capacity,
            n_starts=old.n_starts + 1,
            updated_at_s=perf_counter(),
        )

    def progress(self, n_decoded: int) -> None:
        """Take note of how far running turns have come; it is put together when somebody reads.

        Cost: some 2 us.
        """
        now_s = perf_counter()
        self._progress = (now_s, n_decoded)
        self._rate.note(n_decoded, now_s=now_s)

    def hang(
        self, phase: str, desk: DeskReadings | None, *, exactness: Exactness | None, n_decoded: int
    ) -> None:
        """Show how things stand.

        Args:
            phase: The actor's state.
            desk: Its queue and its slots; ``None`` before there are any.
            exactness: The level that holds, once it is known.
            n_decoded: Tokens computed one by one since loading.

        Cost: some 3 us.
        """
        now_s = perf_counter()
        if desk is None or desk.n_live == 0:
            self._rate.forget()
        else:
            self._rate.note(n_decoded, now_s=now_s)
        old, desk = self._gauges, desk or _NOTHING
        # Written out: copying the old one with changes costs three times as much, at each turn's ends.
        self._gauges = ModelGauges(
            model=old.model,
            phase=cast("ModelPhase", phase),
            exactness=exactness,
            n_seq=old.n_seq,
            n_live=desk.n_live,
            n_queued=desk.n_queued,
            n_free_slots=desk.n_free_slots,
            queue_capacity=old.queue_capacity,
            last_hit_tokens=desk.last_hit_tokens,
            last_hit_source=desk.last_hit_source,
            tokens_per_s=self._rate.per_s,
            n_decoded=n_decoded,
            counts=desk.counts,
            n_starts=old.n_starts,
            updated_at_s=now_s,
        )

    def take_down(self) -> None:
        """Show that the model takes no turns: its actor has ended."""
        self._rate.forget()
        self._gauges = down(self._gauges)


def down(gauges: ModelGauges) -> ModelGauges:
    """Give the gauges of a model whose actor is not there; what it did stays to be read."""
    return evolve(gauges, phase="down", n_live=0, n_queued=0, n_free_slots=0, tokens_per_s=0.0)
