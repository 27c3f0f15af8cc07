"""What a snapshot becomes in words, whatever it holds."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from actorllama.cli.top_link import Said
from actorllama.cli.top_screen import MODEL_HEADINGS, screen_of
from actorllama.cli.top_view import draw

HELLO: Said = {"version": "1.2", "pid": 7, "started_at_s": 1000.0}


def model(**others: object) -> dict[str, object]:
    counts = {"n_ended": 3, "n_cancelled": 1, "n_prompt": 10, "n_cached": 5, "n_generated": 30}
    return {
        "model": "m",
        "phase": "ready",
        "n_seq": 4,
        "n_live": 2,
        "n_starts": 1,
        "counts": counts,
        **others,
    }


def cells_of(snapshot: Said, before: Said | None = None) -> dict[str, str]:
    (row,) = screen_of(HELLO, snapshot, before).models
    return dict(zip(MODEL_HEADINGS, row, strict=True))


def test_a_model_is_a_row_of_cells() -> None:
    cells = cells_of({"models": [model(last_hit_tokens=96, last_hit_source="ram", tokens_per_s=12.34)]})
    assert cells["SLOTS"] == "2/4"
    assert (cells["TURNS"], cells["LOST"], cells["CACHED"]) == ("3", "1", "50%")
    assert (cells["LAST HIT"], cells["TOK/S"]) == ("96 ram", "12.3")


def test_speed_is_what_was_done_between_two_looks() -> None:
    before: Said = {"time_s": 10.0, "models": [model(n_decoded=100)]}
    assert cells_of({"time_s": 12.0, "models": [model(n_decoded=150)]}, before)["TOK/S"] == "25.0"
    rebuilt: Said = {"time_s": 12.0, "models": [model(n_decoded=3, n_starts=2)]}
    assert cells_of(rebuilt, before)["TOK/S"] == "0.0"
    assert cells_of(rebuilt)["PHASE"] == "ready (start 2)"


def test_a_domain_that_is_short_of_memory_is_told_until_it_is_not() -> None:
    fact = {
        "time_s": 0.0,
        "event": "engine.pressure.began",
        "metadata": {"domain": "gpu0"},
        "measurements": {"used_bytes": 7 << 30, "limit_bytes": 8 << 30},
    }
    ((name, words),) = screen_of(HELLO, {"pressure": [fact]}).memory
    assert name == "gpu0"
    assert words.startswith("SHORT OF MEMORY since")
    assert "7.0 GiB of 8.0 GiB" in words
    ((_, words),) = screen_of(HELLO, {"pressure": [{**fact, "event": "engine.pressure.ended"}]}).memory
    assert words.startswith("relieved since")


def test_the_rung_and_what_each_has_brought_are_told_with_a_domain_that_is_short() -> None:
    fact = {
        "time_s": 0.0,
        "event": "engine.pressure.began",
        "metadata": {"domain": "host"},
        "measurements": {"used_bytes": 7 << 30, "limit_bytes": 8 << 30},
        "step": "evict",
        "won_bytes": {"demote": 1 << 20, "evict": 2048.0},
    }
    ((_, words),) = screen_of(HELLO, {"pressure": [fact]}).memory
    assert words.endswith("7.0 GiB of 8.0 GiB then, at evict, won demote 1.0 MiB, evict 2.0 KiB")
    ((_, words),) = screen_of(HELLO, {"pressure": [{**fact, "event": "engine.pressure.ended"}]}).memory
    assert words.endswith("8.0 GiB then, won demote 1.0 MiB, evict 2.0 KiB")


def test_a_cache_that_has_not_answered_is_not_an_empty_one() -> None:
    assert screen_of(HELLO, {"cache": None}).memory == (("cache", "not known: it has not answered yet"),)
    assert screen_of(HELLO, {}).memory == ()  # an older runtime


def test_a_usual_screen_fits_eighty_columns() -> None:
    row = model(model="qwen2.5-7b", n_queued=12, tokens_per_s=1234.5, exactness="faithful")
    shown = screen_of(HELLO, {"models": [{**row, "last_hit_tokens": 4096, "last_hit_source": "ram"}]})
    out = StringIO()
    console = Console(file=out, width=80, height=24)
    console.print(draw(shown, console))
    assert all(word in out.getvalue() for word in (*MODEL_HEADINGS, *shown.models[0]))


def test_an_event_is_told_without_what_was_only_counted() -> None:
    fact = {
        "time_s": 0.0,
        "level": "info",
        "event": "engine.turn.ended",
        "metadata": {"model": "m", "prompt": "<3 items>", "cache_tier": None},
        "measurements": {"queue_s": 0.25},
    }
    (line,) = screen_of(HELLO, {"events": [fact]}).events
    assert line.endswith("engine.turn.ended model=m queue_s=0.25")


@pytest.mark.parametrize(
    "snapshot",
    [
        {},
        {"models": None, "cache": 3, "pressure": "x", "events": [1]},
        {"models": [None, {"counts": "none", "n_seq": "many", "last_hit_tokens": "\x1b[31m"}]},
        {"time_s": "now", "cache": {"ram": {"used_bytes": None}, "n_pending": 2}},
    ],
)
def test_what_is_not_understood_is_nothing_worse_than_that(snapshot: Said) -> None:
    shown = screen_of({}, snapshot)
    out = StringIO()
    console = Console(file=out, width=80, height=10)
    console.print(draw(shown, console))
    assert "\x1b" not in out.getvalue()
    assert "actorllama" in out.getvalue()


def test_a_small_terminal_loses_events_first() -> None:
    events = [{"time_s": 0.0, "level": "info", "event": f"a.b.c{n}"} for n in range(50)]
    shown = screen_of(HELLO, {"models": [model()], "events": events})
    out = StringIO()
    console = Console(file=out, width=100, height=12)
    console.print(draw(shown, console))
    lines = out.getvalue().splitlines()
    assert len(lines) <= 12
    assert "a.b.c49" in lines[-1]
