"""Pressure and traffic at random: no turn is harmed, and what is told of the bytes is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import trio
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actorllama import Config, Model
from actorllama.engine import PressureOptions
from actorllama.engine.events import PRESSURE_WON
from actorllama.errors import Busy, ModelNotLoaded, SnapshotNotFound
from actorllama.kvcache import CacheOptions
from actorllama.native import SamplingParams
from actorllama.native.memory import HOST, MemoryDomain
from actorllama.native.memory_devices import ComputeDevice
from actorllama.telemetry import Bus, Event, Measurements, MemoryHandler, Metadata
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import expected_turn
from actorllama.testing.manual_pressure import ManualPressure
from tests.inline_tree import open_tree

CTX = 128
LIMIT = 400_000
HIGH, LOW = 0.9, 0.8
GPU = MemoryDomain(kind="gpu", index=0, pci="0000:01:00.0")
DEVICE = ComputeDevice(name="CUDA0", description="a GPU", kind="gpu", pci=GPU.pci)
NAMES = ("a", "b")
RELATED = "a story that many prompts begin with, and "


@frozen
class Take:
    """A turn, read slowly or at once, kept or not."""

    model: int
    prompt: int
    is_slow: bool
    n_tokens: int


@frozen
class Fill:
    """Somebody else uses so much of a domain now."""

    domain: Literal["host", "gpu"]
    share: float


@frozen
class Wait:
    """Time passes."""

    s: float


@frozen
class GoOn:
    """Resume a turn that was kept."""

    which: int


ACTIONS = st.one_of(
    st.builds(Take, st.integers(0, 1), st.integers(0, 3), st.booleans(), st.integers(1, 12)),
    st.builds(Fill, st.sampled_from(("host", "gpu")), st.sampled_from((0.3, 0.81, 0.89, 0.91, 0.95, 1.0))),
    st.builds(Wait, st.sampled_from((0.1, 1.0, 3.0, 6.0))),
    st.builds(GoOn, st.integers(0, 5)),
)


class Memory(ManualPressure):
    """Memory of which everything that was won is free afterwards."""

    def __call__(self, event: Event, measured: Measurements, about: Metadata, _config: object) -> None:
        self.free(HOST if about["domain"] == "host" else GPU, int(measured["won_bytes"]))


@define
class World:
    """A runtime under pressure, and what was seen of it."""

    backend: FakeBackend
    memory: Memory
    models: Mapping[str, Model]
    kept: list[tuple[str, str, tuple[int, ...]]] = field(factory=list[tuple[str, str, tuple[int, ...]]])
    refusals: list[str] = field(factory=list[str])
    n_ended: int = 0

    async def take(self, action: Take) -> None:
        """Take a turn; it brings what it must, or is refused in words."""
        name, prompt = NAMES[action.model], RELATED * 2 + "x" * action.prompt
        try:
            async with self.models[name].stream(
                prompt, max_tokens=action.n_tokens, temperature=0.0, keep=True, window=2
            ) as turn:
                if action.is_slow:
                    await trio.sleep(2.5)
                async for _ in turn:
                    pass
        except (Busy, ModelNotLoaded) as exc:
            self.refusals.append(str(exc))
            return
        assert turn.result.tokens == self.expected(prompt, action.n_tokens)
        assert turn.result.resume_key is not None
        self.kept.append((name, turn.result.resume_key, (*self.tokens(prompt), *turn.result.tokens)))
        self.n_ended += 1

    async def go_on(self, action: GoOn) -> None:
        """Resume a turn; it goes on as the unbroken one, unless there was no room for it."""
        if not self.kept:
            return
        name, key, tokens = self.kept[action.which % len(self.kept)]
        try:
            result = await self.models[name].resume(key, max_tokens=5)
        except (Busy, ModelNotLoaded, SnapshotNotFound):
            return  # there is no disk here: what was evicted is gone
        assert result.tokens == self.continued(tokens, 5)
        self.n_ended += 1

    def tokens(self, prompt: str) -> list[int]:
        return self.backend.language.tokenize(prompt, add_special=True, parse_special=False)

    def expected(self, prompt: str, n_tokens: int) -> tuple[int, ...]:
        return self.continued(tuple(self.tokens(prompt)), n_tokens)

    def continued(self, tokens: tuple[int, ...], n_tokens: int) -> tuple[int, ...]:
        turn = expected_turn(
            self.backend.language,
            list(tokens),
            SamplingParams(temperature=0.0),
            max_tokens=n_tokens,
            stop=(),
            ctx_per_seq=CTX,
        )
        return tuple(turn.tokens)


class Books:
    """The events of a run, held against each other as they come."""

    def __init__(self) -> None:
        self._pressed: set[object] = set()
        self._shrunk: set[object] = set()
        self._evicted_bytes = self._freed_bytes = 0
        self._won_bytes: Counter[object] = Counter()

    def check(self, heard: MemoryHandler) -> None:
        for fact in heard.facts:
            name, about, measured = fact.event.name, fact.metadata, fact.measurements
            if name[:2] == ("engine", "pressure"):
                self._pressure(name[-1], about, measured)
            elif name == ("engine", "context", "parked"):
                self._shrunk.add(about["model"])
                self._freed_bytes += int(measured["freed_bytes"])
            elif name == ("engine", "context", "reopened"):
                self._shrunk.discard(about["model"])
            elif name == ("kvcache", "entry", "evicted"):
                self._evicted_bytes += int(measured["entry_bytes"])
        assert self._evicted_bytes == self._won_bytes["evict"]
        assert self._won_bytes["shrink"] <= self._freed_bytes

    def _pressure(self, verb: str, about: Metadata, measured: Measurements) -> None:
        match verb:
            case "began":
                assert about["domain"] not in self._pressed
                assert measured["used_bytes"] >= HIGH * measured["limit_bytes"]
                self._pressed.add(about["domain"])
            case "ended":
                assert about["domain"] in self._pressed
                assert measured["used_bytes"] <= LOW * measured["limit_bytes"]
                self._pressed.discard(about["domain"])
            case "asked":
                assert about["domain"] in self._pressed
                assert about["step"] != "unload" or about["owner"] in self._shrunk
                if about["step"] == "shrink":
                    self._shrunk.add(about["owner"])
            case _:
                self._won_bytes[about["step"]] += int(measured["won_bytes"])


@given(actions=st.lists(ACTIONS, min_size=4, max_size=25), has_gpu=st.booleans())
def prop_pressure_and_traffic_harm_no_turn_and_all_bytes_are_accounted_for(
    actions: list[Take | Fill | Wait | GoOn], has_gpu: bool
) -> None:
    async def main() -> None:
        backend = FakeBackend(FakeLanguage(end_one_in=0))
        backend.gpus = (DEVICE,) if has_gpu else ()
        bus, heard, memory = Bus(), MemoryHandler(), Memory()
        bus.attach("test", (), heard, None)
        bus.attach("memory", PRESSURE_WON, memory, None)
        for domain in (HOST, GPU) if has_gpu else (HOST,):
            memory.set(domain, used_bytes=0, limit_bytes=LIMIT)
        config = Config(
            pressure=PressureOptions(high_share=HIGH, low_share=LOW, interval_s=0.5, fits_check="off"),
            cache=CacheOptions(block_tokens=8),
        )
        async with open_tree(backend, config, bus=bus, memory_sources=(memory,)) as rt:
            models = {name: await rt.load(name, "x.gguf", n_seq=3, ctx_per_seq=CTX) for name in NAMES}
            world = World(backend, memory, models)
            async with trio.open_nursery() as turns:
                for action in actions:
                    match action:
                        case Take():
                            turns.start_soon(world.take, action)
                        case GoOn():
                            turns.start_soon(world.go_on, action)
                        case Wait():
                            await trio.sleep(action.s)
                        case Fill():
                            domain = GPU if action.domain == "gpu" and has_gpu else HOST
                            memory.set(domain, used_bytes=int(action.share * LIMIT), limit_bytes=LIMIT)
                    await trio.lowlevel.checkpoint()
                await trio.sleep(20)  # every ask has its answer
        assert all("memory of" in words for words in world.refusals)
        Books().check(heard)

    trio.run(main, clock=MockClock(autojump_threshold=0))
