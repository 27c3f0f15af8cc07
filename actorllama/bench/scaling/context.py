"""What a token, a restore and a save cost against the length of the context."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen

from actorllama.bench.harness import Spread, in_turns
from actorllama.bench.scaling.curve import Curve, Side, Theory
from actorllama.bench.scaling.options import ScalingBenchOptions
from actorllama.bench.warm_options import WarmBenchOptions, prompt_tokens
from actorllama.bench.warm_session import WarmSession, prefix_name
from actorllama.errors import EngineError

__all__ = ["context_curves"]

_N_TOKENS: Final = 32
_N_SPARE: Final = 256
_COPIED: Final = Theory(exponent=1.0, words="linear: every row of the state is copied")
_THEORIES: Final = {
    "decode_s_per_token": Theory(
        exponent=1.0,
        words="between O(1) and linear: a fixed part, and attention, which reads every row before the token",
    ),
    "restore_s": _COPIED,
    "save_s": _COPIED,
}


@frozen(kw_only=True)
class _Costs:
    decode_s_per_token: float
    restore_s: float
    save_s: float


async def context_curves(
    options: ScalingBenchOptions, on_progress: Callable[[str], None]
) -> tuple[Curve, ...]:
    """Restore a prefix from RAM, decode behind it and keep the turn; beside it llama.cpp's own three calls.

    Raises:
        EngineError: A prefix was computed, not restored.

    Cost: a prefill of all lengths, twice; half a minute at the 15m shape on two cores.
    """
    lengths = options.sizes("context")
    warm = WarmBenchOptions(
        model=options.model,
        label=options.label,
        n_ctx_train=max(lengths) + _N_SPARE,  # speed is measured, not quality: rope goes on behind it
        lengths=lengths,
        sources=("ram",),
        n_neighbours=0,
        n_rounds=options.n_rounds,
        n_threads=options.n_threads,
    )
    found: dict[Side, list[tuple[int, Sequence[_Costs]]]] = {"runtime": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="actorllama-bench-") as name:
        async with WarmSession.open(warm, Path(name)) as session:
            for n_tokens in warm.prefixes:
                prefix = prompt_tokens(n_tokens, prefix_name(n_tokens))
                await session.turn(prefix, keep=True)
                await session.bare.prefill_s(prefix)
                ours, bare = await in_turns(
                    partial(_taken, session, n_tokens),
                    partial(_bare, session, n_tokens),
                    n_rounds=options.n_rounds,
                )
                found["runtime"].append((n_tokens, ours))
                found["bare"].append((n_tokens, bare))
                on_progress(
                    f"context of {n_tokens} tokens: {ours[-1].decode_s_per_token * 1000:.3f} ms a token"
                )
    return tuple(
        Curve(
            axis="context",
            name=name,
            side=side,
            unit="s",
            theory=theory,
            points=tuple(
                (n_tokens, Spread.of([getattr(costs, name) for costs in rounds]))
                for n_tokens, rounds in found[side]
            ),
        )
        for name, theory in _THEORIES.items()
        for side in ("runtime", "bare")
    )


async def _taken(session: WarmSession, n_tokens: int, _number: int) -> _Costs:
    await session.flush(1)  # another turn takes the sequence: the prefix must be brought back
    await session.settle()
    prompt = session.prompt(n_tokens, prefix_name(n_tokens))
    result = await session.turn(prompt, max_tokens=1 + _N_TOKENS, keep=True)
    timings, usage = result.timings, result.usage
    if usage.source != "ram" or usage.n_cached < n_tokens:
        raise EngineError(
            f"{usage.n_cached} of {usage.n_prompt} tokens came from {usage.source}, not {n_tokens} from ram. "
            "Where computing is quicker than restoring there is nothing to measure: take a larger model."
        )
    await session.settle()
    return _Costs(
        decode_s_per_token=timings.decode_s / _N_TOKENS, restore_s=timings.restore_s, save_s=timings.save_s
    )


async def _bare(session: WarmSession, n_tokens: int, _number: int) -> _Costs:
    costs = await session.bare.three_costs_s(n_cells=n_tokens, n_tokens=_N_TOKENS)
    decode_s, restore_s, save_s = costs
    return _Costs(decode_s_per_token=decode_s / _N_TOKENS, restore_s=restore_s, save_s=save_s)
