"""What will not fit is refused before it is loaded, with the numbers and with what would fit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actorllama import Config, demo, open_runtime
from actorllama.engine import PressureOptions
from actorllama.engine.events import LOAD_TIGHT
from actorllama.errors import ModelLoadError
from actorllama.native.memory import HOST, MemoryDomain
from actorllama.native.memory_devices import ComputeDevice
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.manual_pressure import ManualPressure

MIB = 1 << 20
GPU = MemoryDomain(kind="gpu", index=0, pci="0000:01:00.0")


def with_free(free_bytes: int, domain: MemoryDomain = HOST) -> ManualPressure:
    source = ManualPressure()
    source.set(domain, used_bytes=1 << 30, limit_bytes=(1 << 30) + free_bytes)
    return source


async def load(
    backend: FakeBackend, *sources: ManualPressure, fits_check: str = "refuse", bus: Bus | None = None
) -> str:
    """Load the demo model's file with much context; return how it stands."""
    # The watermarks are out of the way: this is about loading.
    config = Config(pressure=PressureOptions(fits_check=fits_check, high_share=1.0, low_share=1.0))
    memory: Sequence[ManualPressure] = sources
    async with open_runtime(config, backend=backend, bus=bus, memory_sources=memory) as rt:
        model = await rt.load("much", demo.model_path(), n_seq=8, ctx_per_seq=16384)
        return (await model.status()).state


async def test_a_refusal_has_the_numbers_and_what_would_fit(fake_backend: FakeBackend) -> None:
    with pytest.raises(ModelLoadError) as caught:
        await load(fake_backend, with_free(124 * MIB))
    words = str(caught.value)
    assert "KV cells 256.0 MiB" in words
    assert "has 124.0 MiB free" in words
    assert "ctx_per_seq = 4608" in words
    assert fake_backend.ledger.n_opened("model") == 0


async def test_what_fits_is_loaded(fake_backend: FakeBackend) -> None:
    assert await load(fake_backend, with_free(1 << 30)) == "ready"


async def test_the_tightest_limit_decides(fake_backend: FakeBackend) -> None:
    with pytest.raises(ModelLoadError, match=r"124\.0 MiB free"):
        await load(fake_backend, with_free(1 << 30), with_free(124 * MIB))


async def test_a_warning_is_an_event(fake_backend: FakeBackend, bus: Bus, heard: MemoryHandler) -> None:
    assert await load(fake_backend, with_free(124 * MIB), fits_check="warn", bus=bus) == "ready"
    (told,) = heard.of(LOAD_TIGHT)
    assert isinstance(told.metadata["error"], ModelLoadError)


async def test_who_does_not_want_to_know_is_not_told(
    fake_backend: FakeBackend, bus: Bus, heard: MemoryHandler
) -> None:
    assert await load(fake_backend, with_free(124 * MIB), fits_check="off", bus=bus) == "ready"
    assert heard.of(LOAD_TIGHT) == []


async def test_on_a_gpu_its_own_memory_is_what_counts(fake_backend: FakeBackend) -> None:
    fake_backend.gpus = (ComputeDevice(name="CUDA0", description="a GPU", kind="gpu", pci=GPU.pci),)
    assert await load(fake_backend, with_free(300 * MIB), with_free(1 << 30, GPU)) == "ready"
    with pytest.raises(ModelLoadError, match=r"CUDA0 would hold .* has 100\.0 MiB free"):
        await load(fake_backend, with_free(1 << 30), with_free(100 * MIB, GPU))


async def test_a_gpu_that_nobody_reads_is_not_guessed_about(fake_backend: FakeBackend) -> None:
    fake_backend.gpus = (ComputeDevice(name="CUDA0", description="a GPU", kind="gpu", pci=GPU.pci),)
    assert await load(fake_backend, with_free(MIB)) == "ready"


async def test_a_source_that_knows_no_limit_refuses_nothing(fake_backend: FakeBackend) -> None:
    source = ManualPressure()
    source.set(stall_share=0.0)
    assert await load(fake_backend, source) == "ready"
