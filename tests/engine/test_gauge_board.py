"""What a model shows: replaced whole, never older than what was shown before."""

from __future__ import annotations

from actorllama.engine.gauge_board import GaugeBoard
from actorllama.engine.gauges import DeskReadings, TurnCounts


def readings(n_live: int) -> DeskReadings:
    return DeskReadings(
        n_live=n_live,
        n_queued=3,
        n_free_slots=4 - n_live,
        counts=TurnCounts(n_taken=5),
        last_hit_tokens=6,
        last_hit_source="ram",
    )


def opened() -> GaugeBoard:
    board = GaugeBoard(model="m", n_seq=4, queue_capacity=9)
    board.begin()
    board.hang("ready", readings(1), exactness="exact", n_decoded=10)
    return board


def test_all_that_was_hung_out_is_read() -> None:
    shown = opened().read()
    assert (shown.model, shown.phase, shown.exactness) == ("m", "ready", "exact")
    assert (shown.n_seq, shown.queue_capacity, shown.n_starts) == (4, 9, 1)
    assert (shown.n_live, shown.n_queued, shown.n_free_slots) == (1, 3, 3)
    assert (shown.counts.n_taken, shown.last_hit_tokens, shown.last_hit_source) == (5, 6, "ram")
    assert shown.n_decoded == 10


def test_progress_is_read_with_what_was_hung_out_before_it() -> None:
    board = opened()
    before = board.read()
    board.progress(25)
    shown = board.read()
    assert (shown.n_decoded, shown.n_live, shown.phase) == (25, 1, "ready")
    assert shown.tokens_per_s > 0.0
    assert shown.updated_at_s > before.updated_at_s


def test_what_is_hung_out_after_progress_stands() -> None:
    board = opened()
    board.progress(25)
    board.hang("ready", readings(0), exactness="exact", n_decoded=30)
    shown = board.read()
    assert (shown.n_decoded, shown.n_live, shown.tokens_per_s) == (30, 0, 0.0)


def test_a_board_that_is_taken_down_keeps_what_was_done() -> None:
    board = opened()
    board.progress(25)
    board.take_down()
    shown = board.read()
    assert (shown.phase, shown.n_live, shown.n_decoded, shown.tokens_per_s) == ("down", 0, 25, 0.0)


def test_a_new_actor_begins_with_nothing_done() -> None:
    board = opened()
    board.progress(25)
    board.begin()
    shown = board.read()
    assert (shown.phase, shown.n_decoded, shown.n_live, shown.n_starts) == ("loading", 0, 0, 2)
