"""Find out on a user's own model and build what can be promised, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from attrs import asdict, evolve, frozen

from actorllama.config import Config
from actorllama.engine import Check, Exactness, TurnResult, level_of
from actorllama.errors import ActorLlamaError
from actorllama.native import BuildInfo
from actorllama.runtime.load_options import LoadOptions
from actorllama.runtime.model import Model, SamplingOptions
from actorllama.runtime.runtime import open_runtime

__all__ = ["VerifyReport", "verify_model"]

_N_TOKENS = 48
_WHOLE_S = 1e6  # however slow the model is, its canary is not cut short
_PROMPT = tuple(3 + index * 5 % 61 for index in range(24))
_CHAINS: tuple[SamplingOptions, ...] = (
    {"temperature": 0.0},
    {"temperature": 0.8, "repeat_penalty": 1.1, "dry_multiplier": 0.8},
    {"temperature": 1.0, "xtc_probability": 0.3, "xtc_threshold": 0.05, "min_p": 0.02},
)


@frozen(kw_only=True)
class VerifyReport:
    """The level that holds, and every check that decided it."""

    model: str
    level: Exactness
    checks: tuple[Check, ...]
    build: BuildInfo

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        return {
            "model": self.model,
            "level": self.level,
            "checks": [
                {"name": check.name, "passed": check.passed, "detail": check.detail} for check in self.checks
            ],
            "build": asdict(self.build),
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        width = max(len(check.name) for check in self.checks)
        tried = [
            f"  {'ok  ' if check.passed else 'FAIL'}  {check.name:{width}}  {check.detail}"
            for check in self.checks
        ]
        return [f"{self.model}: {self.level}", *tried]


async def verify_model(
    path: Path,
    options: LoadOptions,
    *,
    config: Config | None = None,
    on_progress: Callable[[str], None] = lambda _line: None,
) -> VerifyReport:
    """Load it with a whole canary, then hold conversations that are cut, moved, mixed and restarted.

    ``exact`` means that every check passed; ``faithful`` that saved bytes come back, but that arithmetic
    depends on what shares a batch; ``recomputed`` that states cannot be saved.

    Raises:
        ModelLoadError: The model cannot be used.
        RequestError: An option is out of bounds.
    """
    config = config or Config()
    config = evolve(config, engine=evolve(config.engine, canary="load", canary_budget_s=_WHOLE_S))
    with TemporaryDirectory(prefix="actorllama-verify-") as state_dir:
        async with open_runtime(config, state_dir=state_dir) as rt:
            on_progress("loading, and the canary: logits bit by bit")
            model = await rt.load("verified", path, **options)
            checks = list(model.verdict.checks)
            wholes: list[TurnResult] = []
            cuts: list[TurnResult] = []
            if model.verdict.level != "recomputed":
                on_progress("conversations: cut, moved, interleaved")
                checks += await _conversations(model, wholes, cuts)
            build = rt.build_info()
        if cuts:
            on_progress("conversations: after a restart")
            async with open_runtime(config, state_dir=state_dir) as rt:
                model = await rt.load("verified", path, **options)
                checks.append(await _restarted(model, wholes, cuts))
    return VerifyReport(model=str(path), level=level_of(checks), checks=tuple(checks), build=build)


async def _conversations(model: Model, wholes: list[TurnResult], cuts: list[TurnResult]) -> list[Check]:
    for seed, chain in enumerate(_CHAINS):
        options: SamplingOptions = {**chain}
        options["seed"] = seed
        wholes.append(await model.complete(_PROMPT, max_tokens=_N_TOKENS, **options))
        cuts.append(await model.complete(_PROMPT, max_tokens=_N_TOKENS // 3, keep=True, **options))
    await _take_all_sequences(model)
    alone: list[TurnResult] = [await _resume(model, cut) for cut in cuts]
    beside: list[TurnResult] = list(alone)
    await _take_all_sequences(model)

    async def resume(index: int) -> None:
        beside[index] = await _resume(model, cuts[index])

    async with trio.open_nursery() as nursery:
        for index in range(len(cuts)):
            nursery.start_soon(resume, index)
        nursery.start_soon(_noise, model)
    return [
        _compared("cut, dropped, restored", wholes, cuts, alone, decides="recomputed"),
        _compared("restored beside other turns", wholes, cuts, beside, decides="faithful"),
    ]


async def _restarted(model: Model, wholes: list[TurnResult], cuts: list[TurnResult]) -> Check:
    rests: list[TurnResult] = []
    try:
        rests = [await _resume(model, cut) for cut in cuts]
    except ActorLlamaError as exc:
        return Check(name="after a restart", passed=False, detail=str(exc), decides="recomputed")
    return _compared("after a restart", wholes, cuts, rests, decides="recomputed")


async def _resume(model: Model, cut: TurnResult) -> TurnResult:
    if cut.resume_key is None or cut.finish_reason != "length":
        return cut  # it ended by itself before the cut: nothing is left to compare
    return await model.resume(cut.resume_key, max_tokens=_N_TOKENS - len(cut.tokens), keep=False)


async def _take_all_sequences(model: Model) -> None:
    """Use every sequence for something else, so that what was saved must be brought back."""
    async with trio.open_nursery() as nursery:
        for number in range(model.context_options.n_seq):
            prompt = tuple(3 + (number + index * 11) % 61 for index in range(len(_PROMPT)))
            nursery.start_soon(partial(model.complete, prompt, max_tokens=2, seed=number))


async def _noise(model: Model) -> None:
    await model.complete(tuple(reversed(_PROMPT)), max_tokens=_N_TOKENS, temperature=1.2)


def _compared(
    name: str,
    wholes: list[TurnResult],
    cuts: list[TurnResult],
    rests: list[TurnResult],
    *,
    decides: Exactness,
) -> Check:
    n_same = n_brought = 0
    for whole, cut, rest in zip(wholes, cuts, rests, strict=True):
        tokens = cut.tokens if rest is cut else cut.tokens + rest.tokens
        n_same += tokens == whole.tokens
        n_brought += rest is not cut and rest.usage.source in ("ram", "disk")
    detail = f"{n_same} of {len(wholes)} turns of {_N_TOKENS} tokens equal the unbroken ones"
    detail += f"; the states of {n_brought} were brought back"
    return Check(name=name, passed=n_same == len(wholes), detail=detail, decides=decides)
