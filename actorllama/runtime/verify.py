"""Find out on a user's own model and build what can be promised, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from attrs import asdict, evolve, frozen

from actorllama.config import Config
from actorllama.engine import Check, Exactness, TurnResult, known_limits, level_of, run_canary
from actorllama.errors import ActorLlamaError
from actorllama.native import Backend, BuildInfo, ContextOptions, ModelOptions
from actorllama.runtime.load_options import LoadOptions
from actorllama.runtime.model import Model, SamplingOptions
from actorllama.runtime.runtime import Runtime, open_runtime

__all__ = ["VerifyReport", "verify_model"]

_N_TOKENS = 48
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
    """Run the canary on a context of its own, then conversations that are cut, moved, mixed and restarted.

    ``exact`` means that every check passed; ``faithful`` that saved bytes come back, but that arithmetic
    depends on what shares a batch; ``recomputed`` that states cannot be saved.

    Raises:
        ModelLoadError: The model cannot be used.
        RequestError: An option is out of bounds.
    """
    config = config or Config()
    # The canary runs here, whole; at load it would be a second, shorter one.
    config = evolve(config, engine=evolve(config.engine, canary="off"))
    with TemporaryDirectory(prefix="actorllama-verify-") as state_dir:
        async with open_runtime(config, state_dir=state_dir) as rt:
            on_progress("loading")
            model = await rt.load("verified", path, **options)
            on_progress("canary: logits bit by bit")
            checks = list(await _canary(rt, path, model))
            wholes: list[TurnResult] = []
            cuts: list[TurnResult] = []
            if level_of(checks) != "recomputed":
                on_progress("conversations: cut, moved, interleaved")
                checks += await _conversations(model, wholes, cuts)
            build = rt.build_info()
        if cuts:
            on_progress("conversations: after a restart")
            async with open_runtime(config, state_dir=state_dir) as rt:
                model = await rt.load("verified", path, **options)
                checks.append(await _restarted(model, wholes, cuts))
    return VerifyReport(model=str(path), level=level_of(checks), checks=tuple(checks), build=build)


async def _canary(rt: Runtime, path: Path, model: Model) -> tuple[Check, ...]:
    host = await rt.host()
    backend, options = rt.backend, model.context_options

    def work() -> tuple[Check, ...]:
        return _with_context(backend, path, options, lambda run: host.run(run).result())

    return await trio.to_thread.run_sync(work)


def _with_context(
    backend: Backend,
    path: Path,
    options: ContextOptions,
    on_host: Callable[[Callable[[], tuple[Check, ...]]], tuple[Check, ...]],
) -> tuple[Check, ...]:
    loaded = backend.load(path, ModelOptions(), lambda _fraction: True)
    try:
        context = loaded.open_context(options)
        try:
            return (*on_host(lambda: run_canary(context)), *known_limits(loaded.facts, context.facts))
        finally:
            context.close()
    finally:
        loaded.close()


async def _conversations(model: Model, wholes: list[TurnResult], cuts: list[TurnResult]) -> list[Check]:
    for seed, chain in enumerate(_CHAINS):
        options: SamplingOptions = {**chain}
        options["seed"] = seed
        wholes.append(await model.complete(_PROMPT, max_tokens=_N_TOKENS, **options))
        cuts.append(await model.complete(_PROMPT, max_tokens=_N_TOKENS // 3, keep=True, **options))
    alone: list[TurnResult] = [await _resume(model, cut) for cut in cuts]
    beside: list[TurnResult] = list(alone)

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
    n_same = 0
    for whole, cut, rest in zip(wholes, cuts, rests, strict=True):
        tokens = cut.tokens if rest is cut else cut.tokens + rest.tokens
        n_same += tokens == whole.tokens
    detail = f"{n_same} of {len(wholes)} turns of {_N_TOKENS} tokens equal the unbroken ones"
    return Check(name=name, passed=n_same == len(wholes), detail=detail, decides=decides)
