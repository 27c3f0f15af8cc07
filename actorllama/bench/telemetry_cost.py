"""What all handlers together cost turns: thousands of them, with and without, in alternating portions."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

import trio
from attrs import frozen

from actorllama.bench.decode_report import DecodeBenchOptions
from actorllama.bench.decode_turns import prompt_of
from actorllama.bench.handlers import all_handlers
from actorllama.bench.harness import CpuMeter, in_turns
from actorllama.bench.telemetry_report import TelemetryReport
from actorllama.bench.thread_meter import ThreadMeter
from actorllama.runtime import Model
from actorllama.telemetry import Bus
from actorllama.telemetry.backlog import LATE_THREAD

__all__ = ["run_telemetry_cost"]

# Less than a second of a small model: short beside a drift of the machine, long beside the part of a second
# by which handlers are late. Ten thousand turns are 157 pairs of neighbours: their median is certain enough.
_N_TURNS_AT_A_TIME: Final = 64
_N_PORTIONS_A_LINE: Final = 16
_TURN_TOKENS: Final = 64  # at most: short turns, because handlers cost by the turn and not by the token
_NEVER: Final = -1000.0  # added to a logit


@frozen(kw_only=True)
class _Portion:
    tokens_per_s: float
    n_turns: int


async def run_telemetry_cost(
    options: DecodeBenchOptions,
    model: Model,
    bus: Bus,
    on_progress: Callable[[str], None] = lambda _line: None,
) -> TelemetryReport:
    """Let callers take turns one after the other, with every handler attached and with none.

    What handlers do late is waited for within the time that is measured.

    Args:
        options: The turns; ``n_turns`` at least are taken on each side.
        model: Who takes them.
        bus: Its bus; nobody else may listen.
        on_progress: Is told how far it is.
    """
    n_each = -(-min(_N_TURNS_AT_A_TIME, options.n_turns) // options.n_seq)
    n_portions = max(2, -(-options.n_turns // (n_each * options.n_seq)))
    told_cpu, bare_cpu, late = CpuMeter(), CpuMeter(), ThreadMeter(LATE_THREAD)
    handlers: tuple[str, ...] = ()

    async def told(number: int) -> _Portion:
        nonlocal handlers
        with all_handlers(bus) as handlers, (late if number >= 0 else ThreadMeter(LATE_THREAD)).measuring():
            portion = await _portion(options, model, bus, n_each, _meter(told_cpu, number), number)
        if number >= 0 and number % _N_PORTIONS_A_LINE == 0:
            on_progress(f"telemetry: {number * portion.n_turns} of {n_portions * portion.n_turns} turns")
        return portion

    async def bare(number: int) -> _Portion:
        return await _portion(options, model, bus, n_each, _meter(bare_cpu, number), number)

    with_all, without = await in_turns(told, bare, n_rounds=n_portions)
    n_turns = sum(portion.n_turns for portion in with_all)
    return TelemetryReport(
        handlers=handlers,
        n_turns=n_turns,
        told_tokens_per_s=tuple(portion.tokens_per_s for portion in with_all),
        bare_tokens_per_s=tuple(portion.tokens_per_s for portion in without),
        cpu_s_per_turn=(told_cpu.cpu_s - bare_cpu.cpu_s) / n_turns,
        late_cpu_s_per_turn=None if late.cpu_s is None else late.cpu_s / n_turns,
    )


def _meter(meter: CpuMeter, number: int) -> CpuMeter:
    return meter if number >= 0 else CpuMeter()


async def _portion(
    options: DecodeBenchOptions, model: Model, bus: Bus, n_each: int, cpu: CpuMeter, number: int
) -> _Portion:
    n_tokens = 0

    async def caller(place: int) -> None:
        nonlocal n_tokens
        prompt = list(prompt_of(place))
        for turn_number in range(n_each):
            seed = (number * n_each + turn_number) * options.n_seq + place
            n_new = await _turn(options, model, prompt, seed % (1 << 32))
            n_tokens += n_new  # not before the turn: the others count meanwhile

    began_s = perf_counter()
    with cpu.measuring():
        async with trio.open_nursery() as nursery:
            for place in range(options.n_seq):
                nursery.start_soon(caller, place)
        await trio.to_thread.run_sync(bus.flush)
    return _Portion(tokens_per_s=n_tokens / (perf_counter() - began_s), n_turns=n_each * options.n_seq)


async def _turn(options: DecodeBenchOptions, model: Model, prompt: list[int], seed: int) -> int:
    """Take a turn of full length: a model that is trained would end most of them sooner."""
    n_most, endless = min(options.n_tokens, _TURN_TOKENS) + 1, dict.fromkeys(model.end_tokens, _NEVER)
    if not options.is_streamed:
        result = await model.complete(prompt, max_tokens=n_most, seed=seed, logit_bias=endless)
        return result.usage.n_generated
    async with model.stream(prompt, max_tokens=n_most, seed=seed, logit_bias=endless) as turn:
        async for _piece in turn:
            pass
    return turn.result.usage.n_generated
