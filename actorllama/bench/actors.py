"""What an actor costs, against bare trio in the same run: ``actorllama bench actors``."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping

from attrs import asdict, frozen

from actorllama.bench.actor_pairs import PAIRS, Pair
from actorllama.bench.chart import Bar, Chart, Panel, series_of
from actorllama.bench.facts import BenchFacts, BenchStart, plain_options
from actorllama.bench.harness import Spread, in_turns
from actorllama.errors import RequestError

__all__ = ["ActorsBenchOptions", "ActorsReport", "PairResult", "run_actors_bench"]

_N_OF: Mapping[str, str] = {
    "spawn_us": "n_spawned",
    "restart_us": "n_restarts",
    "actor_bytes": "n_alive",
}


@frozen(kw_only=True)
class ActorsBenchOptions:
    """How much to measure."""

    n_messages: int = 2_000
    """Calls, casts and deliveries of each round."""
    n_spawned: int = 500
    n_restarts: int = 200
    n_alive: int = 10_000
    """Actors alive at once when their memory is measured; this is done once, not per round."""
    n_rounds: int = 7

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for field, value in asdict(self).items():
            if value < 1:
                raise RequestError(field=field, value=value, reason="must be at least 1")


@frozen(kw_only=True)
class PairResult:
    """One pair: the figures of every round, neighbours in time at equal index."""

    pair: Pair
    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def value(self) -> float:
        """Median of the kernel's figures."""
        return statistics.median(self.ours)

    @property
    def bare_value(self) -> float:
        """Median of bare trio's figures."""
        return statistics.median(self.bare)

    @property
    def ratio(self) -> float:
        """Median of `ratios`."""
        return self.ratios.median

    @property
    def ratios(self) -> Spread:
        """The rounds' ratios: each compares neighbours in time, so drift cancels."""
        return Spread.of_ratios(self.ours, self.bare)


@frozen(kw_only=True)
class ActorsReport:
    """All pairs, and how to read them: quote the ratios, not single times."""

    facts: BenchFacts
    options: ActorsBenchOptions
    results: tuple[PairResult, ...]

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values: ``call_us``, ``channel_call_us``, ``call_to_channel``..."""
        figures: dict[str, object] = {}
        for result in self.results:
            figures[result.pair.name] = round(result.value, 2)
            figures[result.pair.bare_name] = round(result.bare_value, 2)
            figures |= result.ratios.to_json(result.pair.ratio_name, n_digits=3)
        options = plain_options(self.options)
        return {**self.facts.envelope("actors", options), **figures, **options}

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        rows = [
            f"  {result.value:10.1f} {result.bare_value:10.1f} {result.ratio:7.2f}  {_unit(result.pair)}"
            f"  {result.pair.what}"
            for result in self.results
        ]
        machine = self.facts.machine
        return [
            f"  {'actors':>10} {'bare trio':>10} {'ratio':>7}",
            *rows,
            f"{self.options.n_alive} actors alive; python {machine.python}, trio {machine.trio},"
            f" {machine.n_cores} cores, load {machine.load_average}",
            "Not shown: work in handlers, full mailboxes, many busy actors at once, other machines.",
        ]

    def chart(self) -> Chart:
        """Show each ratio with the middle half of its rounds."""
        panel = Panel(
            title=f"{self.options.n_rounds} rounds, middle half; below 1 the actor is cheaper",
            x_label="",
            y_label="actor / bare trio",
            names=tuple(result.pair.name for result in self.results),
            series=(
                series_of("ratio", [(float(x), result.ratios) for x, result in enumerate(self.results)]),
            ),
            bars=(Bar(value=1.0, label="bare trio"),),
        )
        return Chart(title="Actors beside bare trio", panels=(panel,), footnote=self.facts.footnote())


async def run_actors_bench(
    options: ActorsBenchOptions | None = None, on_progress: Callable[[str], None] = lambda _line: None
) -> ActorsReport:
    """Measure the kernel and bare trio in turns, in one run, after a warm-up round.

    Cost: about 5 s with the default options, most of it for 10,000 actors under a memory tracer.
    """
    asked = options or ActorsBenchOptions()
    began = BenchStart.now()
    results: list[PairResult] = []
    for pair in PAIRS:
        on_progress(pair.name)
        n_items: int = getattr(asked, _N_OF.get(pair.name, "n_messages"))
        is_memory = pair.name == "actor_bytes"
        results.append(
            await _measure(pair, n_items, 1 if is_memory else asked.n_rounds, warm_up=not is_memory)
        )
    return ActorsReport(facts=began.facts(), options=asked, results=tuple(results))


async def _measure(pair: Pair, n_items: int, n_rounds: int, *, warm_up: bool) -> PairResult:
    gc.collect()
    ours, bare = await in_turns(
        lambda _number: pair.ours(n_items),
        lambda _number: pair.bare(n_items),
        n_rounds=n_rounds,
        n_warm_up=int(warm_up),
    )
    return PairResult(pair=pair, ours=ours, bare=bare)


def _unit(pair: Pair) -> str:
    return "bytes" if pair.name.endswith("_bytes") else "us   "
