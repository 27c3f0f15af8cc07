"""Each turn says which level of exactness held, and the level is what a canary found."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actorllama import Config
from actorllama.engine import EngineOptions
from actorllama.runtime import LoadOptions, open_runtime
from actorllama.telemetry import Bus
from actorllama.telemetry.memory_handler import record
from actorllama.testing.random_models import write_random_model


async def level_and_source(state_dir: Path | None, config: Config | None = None) -> tuple[str, object]:
    bus = Bus()
    with record(bus, ("engine", "model", "loaded")) as events:
        async with open_runtime(config, bus=bus, state_dir=state_dir) as rt:
            model = await rt.load("demo", n_seq=2, ctx_per_seq=128, n_threads=1)
            result = await model.complete("Once", max_tokens=3, seed=1)
            assert result.exactness == (await model.status()).exactness
    (loaded,) = events.of(("engine", "model", "loaded"))
    return result.exactness, loaded.metadata["exactness_source"]


async def test_the_canary_is_asked_once_and_its_answer_outlives_the_process(tmp_path: Path) -> None:
    assert await level_and_source(tmp_path) == ("exact", "canary")
    assert await level_and_source(tmp_path) == ("exact", "remembered")


async def test_without_a_canary_no_more_than_faithful_is_promised() -> None:
    config = Config(engine=EngineOptions(canary="off"))
    assert await level_and_source(None, config) == ("faithful", "not asked")


@pytest.mark.parametrize(
    "options", [{"flash_attention": True}, {"layout": "shared"}], ids=["flash attention", "shared cells"]
)
async def test_what_depends_on_neighbours_is_faithful(options: dict[str, object]) -> None:
    async with open_runtime() as rt:
        model = await rt.load("demo", n_seq=2, ctx_per_seq=600, n_threads=1, **options)  # type: ignore[arg-type]
        assert (await model.complete("Once", max_tokens=2)).exactness == "faithful"


async def test_a_load_that_is_cancelled_during_its_canary_leaves_nothing_behind(tmp_path: Path) -> None:
    slow = write_random_model(tmp_path / "slow.gguf", "15m", seed=1)
    token = trio.lowlevel.current_trio_token()
    async with open_runtime(state_dir=tmp_path / "state") as rt:
        with trio.CancelScope() as scope:

            def on_progress(fraction: float) -> None:
                if fraction == 1.0:  # the weights are read: the context and its canary come next
                    token.run_sync_soon(scope.cancel)

            options: LoadOptions = {"n_seq": 8, "ctx_per_seq": 2048, "n_threads": 1}
            await rt.load("slow", slow, on_progress=on_progress, **options)
        assert scope.cancelled_caught
        assert await rt.models() == ()
        assert list((tmp_path / "state").rglob("*.json")) == []
        model = await rt.load("slow", n_seq=1, ctx_per_seq=64, n_threads=1)
        assert (await model.complete("Once", max_tokens=2)).exactness == "exact"


async def test_a_resumed_turn_is_as_exact_as_its_context() -> None:
    async with open_runtime() as rt:
        model = await rt.load("demo", n_seq=2, ctx_per_seq=256, n_threads=1)
        first = await model.complete("Once", max_tokens=4, keep=True, seed=1)
        assert first.resume_key is not None
        assert (await model.resume(first.resume_key, max_tokens=4)).exactness == "exact"
