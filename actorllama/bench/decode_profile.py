"""Where the time of a step goes: ``actorllama bench decode --profile``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from time import perf_counter, thread_time

import trio

from actorllama.bench.bare_loop import BareLoop
from actorllama.bench.decode_profile_report import DecodeProfile, SideProfile
from actorllama.bench.decode_report import DecodeBenchOptions
from actorllama.bench.decode_turns import take_turns
from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.harness import CpuMeter, in_turns
from actorllama.bench.step_recorder import StepRecorder, StepTimes
from actorllama.config import Config
from actorllama.engine import EngineHost
from actorllama.runtime import Model, open_runtime

__all__ = ["run_decode_profile"]

_DEFAULT_INTERVAL_S = 0.005  # Python's own
_BUSY_S = 0.02


async def run_decode_profile(
    options: DecodeBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> DecodeProfile:
    """Measure the parts of every step: of the bare loop, of the runtime, and beside a busy event loop.

    The busy event loop computes in Python for 20 ms at a time and never rests: the worst that an application
    can do short of blocking. It is measured with the switch interval that the runtime sets and with Python's
    own of 5 ms, which shows what the shorter one is for.

    Raises:
        ModelLoadError: The model cannot be used.
    """
    began = BenchStart.now()
    with closing(StepRecorder()) as recorder:
        return await _profile(options, recorder, began, on_progress)


async def _profile(
    options: DecodeBenchOptions,
    recorder: StepRecorder,
    began: BenchStart,
    on_progress: Callable[[str], None],
) -> DecodeProfile:
    async with open_runtime(Config(), make_host=lambda: EngineHost(probe=recorder)) as rt:
        on_progress(f"loading {options.label}")
        model = await rt.load(
            "measured",
            options.model,
            n_seq=options.n_seq,
            ctx_per_seq=options.ctx_per_seq,
            n_threads=options.n_threads,
        )
        host = await rt.host()
        bare = await trio.to_thread.run_sync(BareLoop.open, rt, options)
        sides = _Sides(options, model, bare, host, recorder)
        try:
            found = await in_turns(
                sides.bare, sides.runtime, sides.busy, sides.busy_at_5_ms, n_rounds=options.n_rounds
            )
        finally:
            await trio.to_thread.run_sync(bare.close)
        facts = began.facts(build=rt.build_info(), model=MeasuredModel.of(options.model, options.label))
        return DecodeProfile(options=options, facts=facts, sides=tuple(_together(side) for side in found))


class _Sides:
    """What is measured in turns. Owner: the profile."""

    def __init__(
        self,
        options: DecodeBenchOptions,
        model: Model,
        bare: BareLoop,
        host: EngineHost,
        recorder: StepRecorder,
    ) -> None:
        self._options = options
        self._model = model
        self._bare = bare
        self._host = host
        self._recorder = recorder

    async def bare(self, _index: int) -> SideProfile:
        bare, recorder = self._bare, self._recorder
        await trio.to_thread.run_sync(lambda: self._host.run(lambda: bare.rate(recorder)).result())
        about = "llama_decode alone; what it waits for is llama.cpp's own threads"
        return _side("bare", about, await self._take(), loop_cpu_s=None)

    async def runtime(self, index: int) -> SideProfile:
        loop_cpu_s = await self._turns(index)
        return _side("runtime", "all turns, nothing else", _choosing(await self._take()), loop_cpu_s)

    async def busy(self, index: int) -> SideProfile:
        about = "all turns, while the event loop never rests"
        return await self._beside_work("busy loop", about, index)

    async def busy_at_5_ms(self, index: int) -> SideProfile:
        with _switch_interval(_DEFAULT_INTERVAL_S):
            return await self._beside_work("busy loop, 5 ms", "the same with Python's own interval", index)

    async def _beside_work(self, name: str, about: str, index: int) -> SideProfile:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_busy)
            loop_cpu_s = await self._turns(index)
            nursery.cancel_scope.cancel()
        return _side(name, about, _choosing(await self._take()), loop_cpu_s)

    async def _turns(self, index: int) -> float:
        began_s = thread_time()
        await take_turns(self._options, self._model, index + 1, CpuMeter())
        return thread_time() - began_s

    async def _take(self) -> list[StepTimes]:
        # On the host's thread: by then it has left the last step.
        return await trio.to_thread.run_sync(lambda: self._host.run(self._recorder.take).result())


def _side(name: str, about: str, steps: Sequence[StepTimes], loop_cpu_s: float | None) -> SideProfile:
    return SideProfile(
        name=name,
        about=about,
        steps=tuple(steps),
        switch_interval_s=sys.getswitchinterval(),
        loop_cpu_s=loop_cpu_s,
    )


def _choosing(steps: Sequence[StepTimes]) -> list[StepTimes]:
    """Leave out the steps that computed prompts: those without a choice, and the first with one."""
    return [step for step in steps if step.parts["choose"]][1:]


def _together(rounds: Sequence[SideProfile]) -> SideProfile:
    first = rounds[0]
    loop_cpu_s = None if first.loop_cpu_s is None else sum(side.loop_cpu_s or 0.0 for side in rounds)
    return SideProfile(
        name=first.name,
        about=first.about,
        steps=tuple(step for side in rounds for step in side.steps),
        switch_interval_s=first.switch_interval_s,
        loop_cpu_s=loop_cpu_s,
    )


@contextmanager
def _switch_interval(interval_s: float) -> Generator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


async def _keep_busy() -> None:
    while True:
        until_s = perf_counter() + _BUSY_S
        while perf_counter() < until_s:
            pass
        await trio.lowlevel.checkpoint()
