"""Load, unload, load again: names, failures, cancellation, and memory that is free afterwards."""

from __future__ import annotations

import pytest
import trio

from actorllama import Runtime, open_runtime
from actorllama.demo import model_path
from actorllama.errors import (
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
)
from actorllama.runtime.names import HOST_NAME, MODELS_NAME, model_name
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend

pytestmark = pytest.mark.usefixtures("loop_stays_free")


async def load(rt: Runtime, name: str = "fake", **options: int) -> None:
    """Load, for a nursery."""
    await rt.load(name, "x.gguf", n_seq=options.get("n_seq", 2), ctx_per_seq=2048)


async def test_a_loaded_model_is_described(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "some/file.gguf", n_seq=3, ctx_per_seq=128)
        (status,) = await rt.models()

        assert (status.name, status.state, status.path) == ("fake", "ready", "some/file.gguf")
        assert (status.n_seq, status.ctx_per_seq, status.n_free_slots) == (3, 128, 3)
        assert model.facts.architecture == "fake"
        assert rt.model("fake") is model


async def test_unloading_frees_the_memory_before_it_returns(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        await rt.unload("fake")

        assert fake_backend.ledger.n_open("context") == fake_backend.ledger.n_open("model") == 0
        assert await rt.models() == ()


async def test_a_name_can_be_loaded_again_after_it_was_unloaded(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        for _ in range(3):
            model = await rt.load("fake", "x.gguf")
            assert (await model.complete("hello", max_tokens=3)).tokens
            await rt.unload("fake")
        assert fake_backend.ledger.n_opened("context") == 3


async def test_an_old_handle_works_on_a_model_loaded_again_under_its_name(fake_backend: FakeBackend) -> None:
    """A handle names a model, not one incarnation of it."""
    async with open_runtime(backend=fake_backend) as rt:
        old = await rt.load("fake", "x.gguf")
        await rt.unload("fake")
        with pytest.raises(ModelNotLoaded):
            await old.complete("hello", max_tokens=3)
        await rt.load("fake", "x.gguf")
        assert (await old.complete("hello", max_tokens=3)).tokens


async def test_of_two_loads_of_one_name_one_wins(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    async with open_runtime(backend=fake_backend) as rt:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, rt)
            await gate.wait_entered()
            with pytest.raises(ModelAlreadyLoaded):
                await load(rt)
            gate.release()
        assert (await rt.model("fake").complete("hello", max_tokens=3)).tokens


async def test_two_models_load_side_by_side(fake_backend: FakeBackend) -> None:
    gates = [fake_backend.faults.hold_load(nth=nth) for nth in (1, 2)]
    async with open_runtime(backend=fake_backend) as rt:
        async with trio.open_nursery() as nursery:
            for name in ("one", "two"):
                nursery.start_soon(load, rt, name)
            for gate in gates:
                await gate.wait_entered()
            for gate in gates:
                gate.release()
        assert [status.name for status in await rt.models()] == ["one", "two"]


async def test_a_file_that_cannot_be_loaded_leaves_nothing_behind(
    fake_backend: FakeBackend, bus: Bus, heard: MemoryHandler
) -> None:
    fake_backend.faults.fail_load("it is a picture")
    async with open_runtime(backend=fake_backend, bus=bus) as rt:
        with pytest.raises(ModelLoadError) as failed:
            await rt.load("fake", "cat.png")
        assert (failed.value.path, failed.value.reason) == ("cat.png", "it is a picture")
        with pytest.raises(ModelNotLoaded):
            rt.model("fake")
        await load(rt)
    assert len(heard.of(("engine", "load", "failed"))) == 1
    assert heard.of(("actor", "crash")) == []


async def test_a_context_that_finds_no_memory_frees_the_weights(fake_backend: FakeBackend) -> None:
    fake_backend.faults.fail_context("no memory for 8 x 4096 tokens")
    async with open_runtime(backend=fake_backend) as rt:
        with pytest.raises(ModelLoadError, match="no memory"):
            await load(rt)
        assert fake_backend.ledger.n_opened("model") == 1
        assert fake_backend.ledger.n_open("model") == 0


async def test_a_cancelled_load_stops_and_leaves_nothing_behind(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    async with open_runtime(backend=fake_backend) as rt:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, rt)
            await gate.wait_entered()
            nursery.cancel_scope.cancel()
        assert fake_backend.ledger.n_opened("model") == 0
        await load(rt)


async def test_a_load_that_runs_out_of_time_is_cancelled_like_any_call(fake_backend: FakeBackend) -> None:
    fake_backend.faults.hold_load()
    async with open_runtime(backend=fake_backend) as rt:
        with trio.move_on_after(0.05) as scope:
            await load(rt)
        assert scope.cancelled_caught
        assert await rt.models() == ()


async def test_unloading_while_loading_stops_the_load_and_tells_its_caller(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    failures: list[ModelLoadError] = []

    async def load_in_vain(rt: Runtime) -> None:
        with pytest.raises(ModelLoadError) as failed:
            await load(rt)
        failures.append(failed.value)

    async with open_runtime(backend=fake_backend) as rt:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load_in_vain, rt)
            await gate.wait_entered()
            with trio.fail_after(60):
                await rt.unload("fake")
        assert "unloaded" in str(failures[0])
        assert await rt.models() == ()


async def test_a_runtime_that_closes_stops_the_load_under_way(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_runtime(backend=fake_backend) as rt:

            async def load_in_vain() -> None:
                with pytest.raises(ModelLoadError):
                    await load(rt)

            nursery.start_soon(load_in_vain)
            await gate.wait_entered()
    fake_backend.ledger.check()


async def test_progress_is_told_on_the_way(fake_backend: FakeBackend) -> None:
    told: list[float] = []
    async with open_runtime(backend=fake_backend) as rt:
        await rt.load("fake", "x.gguf", on_progress=told.append)
    assert told == [0.0, 1.0]


async def test_an_error_in_the_progress_callback_fails_the_load_with_it(fake_backend: FakeBackend) -> None:
    def report(_fraction: float) -> None:
        raise ZeroDivisionError("in the callback")

    async with open_runtime(backend=fake_backend) as rt:
        with pytest.raises(ModelLoadError, match="on_progress raised ZeroDivisionError"):
            await rt.load("fake", "x.gguf", on_progress=report)
        await load(rt)


# -- the runtime itself --------------------------------------------------------------------------------


async def test_two_runtimes_one_after_the_other(fake_backend: FakeBackend) -> None:
    for _ in range(2):
        async with open_runtime(backend=fake_backend) as rt:
            model = await rt.load("fake", "x.gguf")
            assert (await model.complete("hello", max_tokens=3)).tokens
        fake_backend.ledger.check()


async def test_two_runtimes_at_once_know_nothing_of_each_other(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as one, open_runtime(backend=fake_backend) as two:
        await load(one)
        await load(two)
        await one.unload("fake")
        assert (await two.model("fake").complete("hello", max_tokens=3)).tokens


async def test_an_error_in_the_block_comes_out_as_it_is(fake_backend: FakeBackend) -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):  # noqa: PT012 - the block is what raises
        async with open_runtime(backend=fake_backend) as rt:
            await load(rt)
            raise ZeroDivisionError("mine")
    fake_backend.ledger.check()


async def test_a_runtime_that_is_cancelled_closes_in_order(fake_backend: FakeBackend) -> None:
    with trio.move_on_after(0.05) as scope:
        async with open_runtime(backend=fake_backend) as rt:
            await load(rt)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    fake_backend.ledger.check()


async def test_a_closed_runtime_says_so(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf")
    with pytest.raises(ModelNotLoaded):
        await model.complete("late")
    with pytest.raises(Exception, match="closed"):
        await rt.load("another", "x.gguf")


async def test_the_host_dies_and_is_rebuilt_with_an_empty_house(fake_backend: FakeBackend) -> None:
    """``rest_for_one``: no model can outlive the thread that steps it."""
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        old = rt.system.whereis(model_name("fake"))
        host = rt.system.whereis(HOST_NAME)
        assert host is not None
        assert old is not None
        ended = rt.system.monitor(old)
        rt.system.kill(host, why="test")
        with trio.fail_after(60):
            await ended.wait()
            while None in (rt.system.whereis(HOST_NAME), rt.system.whereis(MODELS_NAME)):
                await trio.lowlevel.checkpoint()
        assert rt.system.whereis(HOST_NAME) is not host
        with trio.fail_after(60):
            await load(rt)
        assert (await rt.model("fake").complete("hello", max_tokens=3)).tokens


async def test_a_runtime_tells_what_it_stands_on(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf")
        assert rt.backend is fake_backend
        assert rt.build_info().library == "fake"
        assert model.end_tokens
        assert repr(model) == "<Model fake x.gguf>"


async def test_without_a_path_it_is_the_demo_model_that_is_loaded(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("demo")
        assert model.facts.path == str(model_path())


async def test_models_are_described_also_while_one_of_them_dies(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt, "one")
        await load(rt, "two")
        ref = rt.system.whereis(model_name("one"))
        assert ref is not None
        rt.system.kill(ref, why="test")
        assert "two" in [status.name for status in await rt.models()]
