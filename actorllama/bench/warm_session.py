"""One runtime in which prefixes are brought to where they are wanted, and turns are timed."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import trio

from actorllama.bench.neighbours import Neighbours, neighbours_of
from actorllama.bench.warm_bare import WarmBare
from actorllama.bench.warm_options import WarmBenchOptions, WarmSource, prompt_tokens
from actorllama.bench.warm_report import WarmCase, WarmShot
from actorllama.engine import ReadCacheStatistics, TurnResult
from actorllama.errors import EngineError
from actorllama.native import BuildInfo
from actorllama.runtime import Model, Runtime, open_runtime
from actorllama.runtime.names import CACHE_NAME

__all__ = ["WarmSession", "prefix_name", "state_path"]

_N_FLUSH = 40  # enough to be looked up, and so to wait for what is being cut; too few to be saved
_ASK_AGAIN_S = 0.02


def prefix_name(n_tokens: int) -> str:
    """Name the prefix that is saved in one process and found in another."""
    return f"prefix of {n_tokens}"


def state_path(root: Path, n_tokens: int) -> Path:
    """Say where the bare thing's state of a prefix is, for a process that did not compute it."""
    return root / f"bare-{n_tokens}.state"


class WarmSession:
    """Times turns whose first cells come from a known place, and checks that they did.

    Owner: the task that opened it.
    """

    def __init__(self, *, options: WarmBenchOptions, rt: Runtime, model: Model, bare: WarmBare) -> None:
        """Made by `open`."""
        self.model = model
        self.bare = bare
        self._options = options
        self._rt = rt
        self._numbers = count()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: WarmBenchOptions, root: Path, *, ram_limit_bytes: int = 4 << 30
    ) -> AsyncGenerator[WarmSession, None]:
        """Open a runtime on ``root``, and the bare context beside it; one turn has warmed both up."""
        config = options.config(ram_limit_bytes=ram_limit_bytes)
        async with open_runtime(config, state_dir=root) as rt:
            model = await rt.load("measured", options.model, **options.load_options)
            bare = await WarmBare.open(rt, options.model, model.context_options)
            try:
                session = cls(options=options, rt=rt, model=model, bare=bare)
                await session.flush(options.n_neighbours + 1)
                await bare.prefill_s(prompt_tokens(_N_FLUSH, "warm-up"))
                yield session
            finally:
                with trio.CancelScope(shield=True):
                    await bare.close()

    @property
    def build(self) -> BuildInfo:
        """Describe the library that computes."""
        return self._rt.build_info()

    def prompt(self, n_tokens: int, name: str) -> list[int]:
        """Make a prefix with a suffix that was never there before."""
        return [*prompt_tokens(n_tokens, name), *self.suffix()]

    def suffix(self) -> list[int]:
        """Make a suffix that was never there before."""
        return prompt_tokens(self._options.n_suffix, f"suffix {next(self._numbers)}")

    async def turn(self, prompt: list[int], *, max_tokens: int = 1, keep: bool = False) -> TurnResult:
        """Take a turn of exactly so many tokens."""
        return await self.model.complete(
            prompt, max_tokens=max_tokens, keep=keep, logit_bias=self._bias(), temperature=0.0
        )

    def _bias(self) -> dict[int, float]:
        return dict.fromkeys(self.model.end_tokens, -math.inf)

    async def flush(self, n_free: int) -> None:
        """Have other turns take the free sequences, so that nothing is left of what they held."""
        async with trio.open_nursery() as nursery:
            for _ in range(n_free):
                nursery.start_soon(self.turn, prompt_tokens(_N_FLUSH, f"flush {next(self._numbers)}"))

    async def settle(self) -> None:
        """Wait until everything that was kept is on disk."""
        cache = self._rt.system.whereis(CACHE_NAME)
        assert cache is not None, "an open runtime has a cache"
        while (await cache.call(ReadCacheStatistics())).n_pending:  # noqa: ASYNC110 - asking disturbs less
            await trio.sleep(_ASK_AGAIN_S)

    @asynccontextmanager
    async def neighbours(self, n_turns: int) -> AsyncGenerator[Neighbours, None]:
        """Have neighbours decode; an error if they came to the end of their sequences too soon.

        Raises:
            EngineError: They did.
        """
        max_tokens = self.model.context_options.ctx_per_seq - 16
        async with neighbours_of(self.model, n_turns, max_tokens=max_tokens) as neighbours:
            yield neighbours
            have_ended = neighbours.have_ended
        if have_ended:
            raise EngineError("the neighbours had ended before the turn had. Take a larger model.")

    async def case(
        self,
        n_tokens: int,
        source: WarmSource,
        n_neighbours: int,
        shoot: Callable[[int], Awaitable[WarmShot]],
        *,
        n_rounds: int,
    ) -> WarmCase:
        """Repeat one measurement; a turn that came from elsewhere makes an error of it."""
        shots: list[WarmShot] = []
        error = None
        try:
            shots = [await shoot(number) for number in range(n_rounds)]
        except EngineError as exc:
            shots, error = [], str(exc)
        return WarmCase(
            n_tokens=n_tokens, source=source, neighbours=n_neighbours, shots=tuple(shots), error=error
        )

    async def cold(self, n_tokens: int, n_neighbours: int, number: int) -> WarmShot:
        """Compute a prefix that was never there; the last one without neighbours is what warm turns find."""
        is_found = number == self._options.n_rounds - 1 and n_neighbours == 0
        name = prefix_name(n_tokens) if is_found else f"cold {next(self._numbers)} of {n_tokens}"
        prompt = prompt_tokens(n_tokens, name)
        await self.flush(self._options.n_neighbours + 1)

        async def taken() -> TurnResult:
            async with self.neighbours(n_neighbours):
                return await self.turn(prompt, keep=True)

        bare_s, result = await _in_turns(number, lambda: self.bare.prefill_s(prompt), taken)
        await self.settle()
        return _checked(result, None, 0, bare_s)

    async def live(self, n_tokens: int, n_neighbours: int, number: int) -> WarmShot:
        """Go on in the sequence that holds the prefix; in the bare one it must be, too."""
        prompt = self.prompt(n_tokens, prefix_name(n_tokens))

        async def taken() -> TurnResult:
            async with self.neighbours(n_neighbours):
                await self.turn(self.prompt(n_tokens, prefix_name(n_tokens)))
                return await self.turn(prompt)

        bare_s, result = await _in_turns(
            number, lambda: self.bare.suffix_s(prompt[n_tokens:], n_cells=n_tokens), taken
        )
        return _checked(result, "live", n_tokens, bare_s)

    async def saved(
        self, n_tokens: int, n_neighbours: int, number: int, *, source: WarmSource, state: memoryview
    ) -> WarmShot:
        """Have a tier bring the prefix, beside a bare restore of the same bytes."""
        prompt = self.prompt(n_tokens, prefix_name(n_tokens))

        async def taken() -> TurnResult:
            async with self.neighbours(n_neighbours):
                await self.flush(self._options.n_neighbours + 1 - n_neighbours)
                return await self.turn(prompt)

        bare_s, result = await _in_turns(
            number, lambda: self.bare.restored_s(state, prompt[n_tokens:], n_cells=n_tokens), taken
        )
        return _checked(result, "ram" if source == "ram" else "disk", n_tokens, bare_s)


async def _in_turns(
    number: int, bare: Callable[[], Awaitable[float]], taken: Callable[[], Awaitable[TurnResult]]
) -> tuple[float, TurnResult]:
    """Measure both sides, the bare one first in every other round."""
    if number % 2:
        result = await taken()
        return await bare(), result
    bare_s = await bare()
    return bare_s, await taken()


def _checked(result: TurnResult, source: str | None, n_cached: int, bare_s: float) -> WarmShot:
    """Make sure that the turn's cells came from where they should have come from.

    Raises:
        EngineError: They did not.
    """
    usage, timings = result.usage, result.timings
    n_most = usage.n_prompt - 2 if n_cached else 0
    if usage.source != source or not n_cached <= usage.n_cached <= n_most:
        raise EngineError(
            f"{usage.n_cached} of {usage.n_prompt} tokens came from {usage.source}, not {n_cached} from "
            f"{source}. Where computing is quicker than restoring there is nothing to measure."
        )
    return WarmShot(
        first_token_s=timings.first_token_s,
        bare_s=bare_s,
        n_cached=usage.n_cached,
        parts_s=(timings.queue_s, timings.restore_s, timings.prefill_s),
    )
