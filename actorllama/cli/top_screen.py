"""What of a snapshot is shown, as words: the same for a terminal, a file and a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, cast

from attrs import frozen

from actorllama.cli.failures import one_line
from actorllama.cli.screen import size_of
from actorllama.cli.top_link import Said

__all__ = ["MODEL_HEADINGS", "TopScreen", "screen_of"]

MODEL_HEADINGS: Final = (
    *("MODEL", "PHASE", "SLOTS", "QUEUE", "TOK/S", "LEVEL"),
    *("TURNS", "LOST", "CACHED", "LAST HIT"),
)
_KEPT_TOLD: Final = 8  # measurements and identities of one event
_MOST: Final = 1e18  # no count of ours comes near it
_NOTHING: Final[Said] = {}


@frozen(kw_only=True)
class TopScreen:
    """One snapshot in words. What a newer runtime adds is not shown, what an older one lacks is 0."""

    title: str
    models: tuple[tuple[str, ...], ...]
    memory: tuple[tuple[str, str], ...]
    """Names and values: the tiers of the cache, what waits, pressure."""
    events: tuple[str, ...]
    """Oldest first."""


def screen_of(hello: Said, snapshot: Said, before: Said | None = None) -> TopScreen:
    """Put a snapshot into words.

    Args:
        hello: Who said it.
        snapshot: What it said.
        before: An earlier snapshot: speeds are then of the time between the two, instead of the moment.
    """
    speeds = _speeds(before or _NOTHING, snapshot)
    models = tuple(_model_row(model, speeds) for model in _parts(snapshot.get("models")))
    up_s = max(0, int(_number(snapshot, "time_s") - _number(hello, "started_at_s")))
    title = (
        f"actorllama {_word(hello.get('version'))}, process {_word(hello.get('pid'))}, "
        f"up {_duration(up_s)}, {len(models)} model{'' if len(models) == 1 else 's'}"
    )
    memory = (*_cache_lines(snapshot), *_pressure_lines(snapshot.get("pressure")))
    events = tuple(_event_line(event) for event in _parts(snapshot.get("events")))
    return TopScreen(title=title, models=models, memory=memory, events=events)


def _speeds(before: Said, snapshot: Said) -> dict[str, float]:
    """Measure what models did between two snapshots; those that were rebuilt meanwhile are left out."""
    passed_s = _number(snapshot, "time_s") - _number(before, "time_s")
    old = {_word(model.get("model")): model for model in _parts(before.get("models"))}
    speeds: dict[str, float] = {}
    for model in _parts(snapshot.get("models")):
        name = _word(model.get("model"))
        if passed_s > 0 and _count(model, "n_starts") == _count(old.get(name, _NOTHING), "n_starts"):
            # A context that was put aside begins to count again.
            done = max(0.0, _number(model, "n_decoded") - _number(old[name], "n_decoded"))
            speeds[name] = done / passed_s
    return speeds


def _model_row(model: Said, speeds: dict[str, float]) -> tuple[str, ...]:
    counts = _part(model.get("counts"))
    n_seq, n_prompt = _count(model, "n_seq"), _count(counts, "n_prompt")
    n_lost = _count(counts, "n_cancelled") + _count(counts, "n_failed") + _count(counts, "n_refused")
    hit, source = model.get("last_hit_tokens"), model.get("last_hit_source")
    n_starts = _count(model, "n_starts")
    return (
        _word(model.get("model")),
        _word(model.get("phase")) + (f" (start {n_starts})" if n_starts > 1 else ""),
        f"{_count(model, 'n_live')}/{n_seq}",
        str(_count(model, "n_queued")),
        f"{speeds.get(_word(model.get('model')), _number(model, 'tokens_per_s')):.1f}",
        _word(model.get("exactness")),
        str(_count(counts, "n_ended")),
        str(n_lost),
        f"{_count(counts, 'n_cached') / n_prompt:.0%}" if n_prompt else "-",
        "-" if hit is None else f"{_word(hit)} {'' if source is None else _word(source)}".strip(),
    )


def _cache_lines(snapshot: Said) -> Iterable[tuple[str, str]]:
    if snapshot.get("cache", _NOTHING) is None:
        yield "cache", "not known: it has not answered yet"
    cache = _part(snapshot.get("cache"))
    for tier in ("ram", "disk"):
        part = _part(cache.get(tier))
        if part:
            yield (
                tier,
                f"{size_of(_count(part, 'used_bytes'))} of {size_of(_count(part, 'limit_bytes'))}, "
                f"{_count(part, 'n_entries')} entries, {_count(part, 'n_hits')} hits, "
                f"{_count(part, 'n_misses')} misses, {_count(part, 'n_evicted')} evicted",
            )
    if _count(cache, "n_pending"):
        waits = f"{_count(cache, 'n_pending')} entries, {size_of(_count(cache, 'pending_bytes'))}"
        yield "to be written", waits


def _pressure_lines(pressure: object) -> Iterable[tuple[str, str]]:
    for fact in _parts(pressure):
        about, measured = _part(fact.get("metadata")), _part(fact.get("measurements"))
        is_over = _word(fact.get("event")).endswith("ended")
        state = "relieved" if is_over else "SHORT OF MEMORY"
        used = f"{size_of(_count(measured, 'used_bytes'))} of {size_of(_count(measured, 'limit_bytes'))}"
        rung = "" if is_over or fact.get("step") is None else f", at {_word(fact.get('step'))}"
        won = _part(fact.get("won_bytes"))
        brought = ", ".join(f"{_word(step)} {size_of(_count(won, step))}" for step in won)
        yield (
            _word(about.get("domain")),
            f"{state} since {_moment(fact)}, {used} then{rung}{', won ' if brought else ''}{brought}",
        )


def _event_line(event: Said) -> str:
    told = {**_part(event.get("metadata")), **_part(event.get("measurements"))}
    words = [f"{key}={_word(value)}" for key, value in told.items() if not _is_empty(value)][:_KEPT_TOLD]
    return one_line(
        f"{_moment(event)} {_word(event.get('level')):7} {_word(event.get('event'))} {' '.join(words)}"
    )


def _moment(fact: Said) -> str:
    try:
        return f"{datetime.fromtimestamp(_number(fact, 'time_s')).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "--:--:--"  # no calendar has it


def _is_empty(value: object) -> bool:
    """Tell whether a value says nothing here: there is none, or only its length was told."""
    return value is None or (isinstance(value, str) and value.startswith("<"))


# -- reading what may be anything ------------------------------------------------------------------


def _part(value: object) -> Said:
    return cast("Said", value) if isinstance(value, dict) else _NOTHING


def _parts(value: object) -> Sequence[Said]:
    return [_part(item) for item in cast("list[object]", value)] if isinstance(value, list) else ()


def _number(part: Said, key: str) -> float:
    value = part.get(key)
    if not isinstance(value, int | float) or not -_MOST < value < _MOST:  # NaN is in no range
        return 0.0
    return float(value)


def _count(part: Said, key: str) -> int:
    return int(_number(part, key))


def _word(value: object) -> str:
    if value is None:
        return "-"
    return one_line(f"{value:.3g}" if isinstance(value, float) else str(value))


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
