"""What the bench of peers is run for: the comparisons that are held against a bar."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from attrs import frozen

from actorllama.bench.harness import Spread
from actorllama.bench.peers.figures import side_figures, speed_ratio
from actorllama.bench.peers.loads import Part
from actorllama.bench.peers.side import Side

__all__ = ["Bar", "bars_of"]

_OURS = "actorllama"
_SERVER = "llama-server"


@frozen(kw_only=True)
class Bar:
    """A ratio, and what it should reach."""

    what: str
    figure: Spread
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the median reaches it."""
        return (self.least is None or self.figure.median >= self.least) and (
            self.most is None or self.figure.median <= self.most
        )

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        least, most = self.least, self.most
        return {
            "what": self.what,
            **self.figure.to_json("ratio", n_digits=4),
            "least": least,
            "most": most,
            "is_met": self.is_met,
        }

    def line(self) -> str:
        """Give it as a person reads it."""
        low, high = self.figure.quartiles
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        spread = "" if len(self.figure.values) == 1 else f" (half of the rounds {low:.2f} to {high:.2f})"
        verdict = "met   " if self.is_met else "missed"
        return f"  {verdict} {self.figure.median:8.2f}{spread}, {bound}: {self.what}"


def bars_of(parts: Iterable[Part]) -> tuple[Bar, ...]:
    """Compare as far as those took part who are compared."""
    found: list[Bar] = []
    for part in parts:
        match part.load:
            case "turns":
                found += _of_turns(part)
            case "crowd":
                found += _of_crowd(part)
            case "restart":
                found += _of_restart(part)
            case "memory":
                found += _of_memory(part)
            case "conversations":
                pass
    return tuple(found)


def _of_turns(part: Part) -> list[Bar]:
    ratio = speed_ratio(part, _OURS, _SERVER)
    is_held = part.case.split(" ", maxsplit=1)[0] in {"8", "16"}
    if ratio is None or not is_held:
        return []
    return [Bar(what=f"tokens/s over llama-server's, {part.case}", figure=ratio, least=1.0)]


def _of_crowd(part: Part) -> list[Bar]:
    sides = _by_name(part)
    if not {_OURS, _SERVER} <= set(sides):
        return []
    ours, theirs = side_figures(sides[_OURS]), side_figures(sides[_SERVER])
    if ours is None or theirs is None:
        return []
    ratio = Spread.of([median(theirs.first_token_s) / median(ours.first_token_s)])
    what = f"llama-server's median first token over ours, {part.case}"
    return [Bar(what=what, figure=ratio, least=5.0)]


def _of_restart(part: Part) -> list[Bar]:
    side = _by_name(part).get(_OURS)
    figures = None if side is None else side_figures(side)
    if side is None or figures is None or not side.cold_first_token_s:
        return []
    cold_s = median(side.cold_first_token_s)
    ratio = Spread.of([cold_s / first_s for first_s in figures.first_token_s])
    return [
        Bar(what=f"first token cold over first token after a restart, {part.case}", figure=ratio, least=50)
    ]


def _of_memory(part: Part) -> list[Bar]:
    sides = _by_name(part)
    ours, theirs = sides.get(_OURS), sides.get(_SERVER)
    if ours is None or theirs is None or ours.memory is None or theirs.memory is None:
        return []
    ratio = Spread.of([ours.memory.own_without_cache_bytes / theirs.memory.own_without_cache_bytes])
    return [Bar(what=f"own memory over llama-server's, {part.case}", figure=ratio, most=1.1)]


def _by_name(part: Part) -> dict[str, Side]:
    return {side.name: side for side in part.sides if side.is_in}
