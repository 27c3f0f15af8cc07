"""Watching a runtime: what is told, to whom, and that no model notices."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
import trio

from actorllama import Config, Model, Runtime, TurnResult, open_runtime
from actorllama.engine import ObserveOptions, ReadCacheStatistics
from actorllama.errors import CacheError
from actorllama.runtime.events import OBSERVER_UNAVAILABLE, WATCHER_DROPPED
from actorllama.runtime.names import OBSERVER_NAME
from actorllama.runtime.observer import Observer
from actorllama.runtime.observer_door import address_of, open_door
from actorllama.runtime.observer_tail import EventTail
from actorllama.telemetry import StrictBus, record
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import greedy, wait_until

pytestmark = pytest.mark.usefixtures("loop_stays_free")

QUICK = ObserveOptions(interval_s=0.05)
Line = dict[str, object]


@asynccontextmanager
async def open_watched(
    backend: FakeBackend, state_dir: Path, *, bus: StrictBus | None = None
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    async with open_runtime(Config(observe=QUICK), backend=backend, state_dir=state_dir, bus=bus) as rt:
        yield rt, await rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=128)


class Watcher:
    """One connection, read line by line."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def line(self) -> Line | None:
        """Read a line; ``None`` at the end."""
        with trio.fail_after(60):
            while b"\n" not in self._rest:
                try:
                    more = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not more:
                    return None
                self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return cast("Line", json.loads(line))

    async def until(self, condition: Callable[[Line], bool]) -> Line:
        while (line := await self.line()) is not None:
            if condition(line):
                return line
        raise AssertionError("it ended")


@asynccontextmanager
async def watching(path: Path) -> AsyncGenerator[Watcher, None]:
    with address_of(path) as address:
        stream = await trio.open_unix_socket(address)
    async with stream:
        yield Watcher(stream)


def sockets_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("observe*.sock"))


def first_model(line: Line) -> dict[str, object]:
    return cast("list[dict[str, object]]", line["models"])[0]


async def test_a_connection_gets_a_hello_and_then_snapshots_of_models_cache_and_events(
    backend: FakeBackend, tmp_path: Path
) -> None:
    async with open_watched(backend, tmp_path) as (_, model), watching(tmp_path / "observe.sock") as watcher:
        hello = await watcher.line()
        assert hello is not None
        assert (hello["kind"], hello["pid"], hello["models"]) == ("hello", os.getpid(), ["fake"])
        before = await watcher.until(lambda line: line["cache"] is not None)
        assert (first_model(before)["phase"], first_model(before)["n_free_slots"]) == ("ready", 2)
        await greedy(model, "secret words", max_tokens=6)
        after = await watcher.until(lambda line: cast("Line", first_model(line)["counts"])["n_ended"] == 1)
    assert cast("int", after["seq"]) > cast("int", before["seq"])
    (ended,) = (fact for fact in cast("list[Line]", after["events"]) if fact["event"] == "engine.turn.ended")
    told = cast("Line", ended["metadata"])
    assert str(told["prompt"]).endswith("items>")
    assert str(told["text"]).endswith("characters>")
    assert "secret" not in json.dumps(after)


async def test_the_socket_is_its_owners_alone_and_gone_at_the_end(
    backend: FakeBackend, tmp_path: Path
) -> None:
    state_dir = tmp_path / "state"
    async with open_watched(backend, state_dir):
        assert stat.S_IMODE((state_dir / "observe.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert not (state_dir / "observe.sock").exists()


async def test_several_runtimes_on_one_directory_are_told_apart(backend: FakeBackend, tmp_path: Path) -> None:
    async with open_watched(backend, tmp_path), open_watched(backend, tmp_path):
        names = sockets_in(tmp_path)
        assert names == [f"observe-{os.getpid()}.sock", "observe.sock"]
        for name in names:
            async with watching(tmp_path / name) as watcher:
                assert await watcher.line() is not None


async def test_what_a_dead_process_left_is_replaced_and_what_is_no_socket_is_left_alone(
    backend: FakeBackend, tmp_path: Path
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "observe.sock"))
    left.close()
    async with open_watched(backend, tmp_path), watching(tmp_path / "observe.sock") as watcher:
        assert await watcher.line() is not None
    (tmp_path / "observe.sock").write_text("mine")
    async with open_watched(backend, tmp_path):
        assert sockets_in(tmp_path) == [f"observe-{os.getpid()}.sock", "observe.sock"]
    assert (tmp_path / "observe.sock").read_text() == "mine"


async def test_a_long_path_is_no_obstacle(backend: FakeBackend, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with open_watched(backend, deep), watching(deep / "observe.sock") as watcher:
        assert await watcher.line() is not None


async def test_a_runtime_that_cannot_listen_says_so_and_works(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = StrictBus()
    someone_else = os.geteuid() + 1
    monkeypatch.setattr("actorllama.runtime.observer_door.os.geteuid", lambda: someone_else)
    with record(bus, OBSERVER_UNAVAILABLE) as heard:
        async with open_watched(backend, tmp_path, bus=bus) as (rt, model):
            assert rt.system.whereis(OBSERVER_NAME) is None
            assert (await greedy(model, "hello", max_tokens=3)).tokens
    (fact,) = heard.facts
    assert "another user" in str(fact.metadata["error"])


async def test_observing_can_be_switched_off(backend: FakeBackend, tmp_path: Path) -> None:
    config = Config(observe=ObserveOptions(is_enabled=False))
    async with open_runtime(config, backend=backend, state_dir=tmp_path):
        assert sockets_in(tmp_path) == []


async def test_garbage_is_not_read_and_changes_nothing(backend: FakeBackend, tmp_path: Path) -> None:
    async with open_watched(backend, tmp_path) as (rt, _), watching(tmp_path / "observe.sock") as watcher:
        ref = rt.system.whereis(OBSERVER_NAME)
        with trio.move_on_after(0.2):  # it is never read: at some point the kernel takes no more
            while True:
                await watcher.stream.send_all(b'{"kill":"fake"}\n\x00\xff' * 4096)
        await watcher.line()
        assert (await watcher.until(lambda line: line["kind"] == "snapshot"))["models"]
        assert rt.system.whereis(OBSERVER_NAME) == ref


async def test_connections_come_and_go_at_any_moment(backend: FakeBackend, tmp_path: Path) -> None:
    """After the connect, inside the hello, between lines, all at once; the observer outlives them."""

    async def come_and_go(n_steps: int) -> None:
        async with watching(tmp_path / "observe.sock") as watcher:
            with trio.move_on_after(0.001 * n_steps):
                for _ in range(n_steps):
                    await watcher.line()

    async with open_watched(backend, tmp_path) as (rt, model):
        ref = rt.system.whereis(OBSERVER_NAME)
        async with trio.open_nursery() as nursery:
            for n_steps in (0, 0, 1, 2, 3, 5, 8, 40, 80):
                nursery.start_soon(come_and_go, n_steps)
            nursery.start_soon(greedy, model, "hello")
        async with watching(tmp_path / "observe.sock") as watcher:
            assert await watcher.line() is not None
        assert rt.system.whereis(OBSERVER_NAME) == ref


async def test_whoever_does_not_read_is_sent_away(tmp_path: Path) -> None:
    """The kernel holds a part of a long line; then the observer waits, but not for ever."""
    bus = StrictBus()
    door = open_door(tmp_path)
    tail = EventTail(bus=bus, n_events=5)
    backend = FakeBackend()
    with record(bus, WATCHER_DROPPED) as heard:
        async with open_runtime(backend=backend, bus=bus) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=64)
            many = [model.gauges] * 3000
            await rt.system.start(
                lambda: Observer(
                    door=door, options=QUICK, look=lambda: many, tail=tail, started_at_s=0.0, patience_s=0.05
                )
            )
            async with watching(door.path):
                await wait_until(lambda: bool(heard.facts))
    door.close()
    assert "no line" in str(heard.facts[0].metadata["reason"])


async def test_too_many_watchers_are_told_nothing(backend: FakeBackend, tmp_path: Path) -> None:
    bus = StrictBus()
    with record(bus, WATCHER_DROPPED) as heard:
        async with open_watched(backend, tmp_path, bus=bus), trio.open_nursery() as nursery:
            ends: list[bool] = []

            async def watch() -> None:
                async with watching(tmp_path / "observe.sock") as watcher:
                    while await watcher.line() is not None:
                        pass
                    ends.append(True)

            for _ in range(20):
                nursery.start_soon(watch)
            await wait_until(lambda: len(ends) == 4)
            nursery.cancel_scope.cancel()
    assert len(heard.facts) == 4


async def test_a_killed_observer_is_back_at_once_and_no_model_noticed(
    backend: FakeBackend, tmp_path: Path
) -> None:
    results: list[TurnResult] = []

    async def take(model: Model) -> None:
        results.append(await greedy(model, "hello", max_tokens=20))

    async with open_watched(backend, tmp_path) as (rt, model):
        models = [rt.system.whereis(name) for name in ("model:fake", "cache", "engine.host")]
        async with watching(tmp_path / "observe.sock") as watcher, trio.open_nursery() as nursery:
            await watcher.line()
            nursery.start_soon(take, model)
            ref = rt.system.whereis(OBSERVER_NAME)
            assert ref is not None
            rt.system.kill(ref, why="test")
            while await watcher.line() is not None:
                pass
        await wait_until(lambda: rt.system.whereis(OBSERVER_NAME) is not None)
        assert rt.system.whereis(OBSERVER_NAME) != ref
        async with watching(tmp_path / "observe.sock") as watcher:
            assert await watcher.line() is not None
        assert [rt.system.whereis(name) for name in ("model:fake", "cache", "engine.host")] == models
    assert len(results) == 1


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_a_kill_may_come_at_any_moment_of_a_connection(
    backend: FakeBackend, tmp_path: Path, n_steps: int
) -> None:
    """Whoever connects around it gets a hello, from one observer or the other, or a clean end."""

    async def watch() -> None:
        async with watching(tmp_path / "observe.sock") as watcher:
            hello = await watcher.line()
            assert hello is None or hello["kind"] == "hello"

    async with open_watched(backend, tmp_path) as (rt, model):
        ref = rt.system.whereis(OBSERVER_NAME)
        assert ref is not None
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(watch)
            for _ in range(n_steps):
                await trio.lowlevel.checkpoint()
            rt.system.kill(ref, why="test")
            nursery.start_soon(watch)
        async with watching(tmp_path / "observe.sock") as watcher:
            assert (await watcher.until(lambda line: line["kind"] == "snapshot"))["models"]
        assert model.gauges.n_starts == 1


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_a_runtime_may_close_at_any_moment_of_a_connection(
    backend: FakeBackend, tmp_path: Path, n_steps: int
) -> None:
    async def watch() -> None:
        with suppress(OSError):  # the door was closed before
            async with watching(tmp_path / "observe.sock") as watcher:
                while await watcher.line() is not None:
                    pass

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_watched(backend, tmp_path):
            for _ in range(4):
                nursery.start_soon(watch)
            for _ in range(n_steps):
                await trio.lowlevel.checkpoint()
    assert sockets_in(tmp_path) == []


async def test_an_observer_that_dies_again_and_again_is_given_up_alone(
    backend: FakeBackend, tmp_path: Path
) -> None:
    async with open_watched(backend, tmp_path) as (rt, model):
        for _ in range(4):
            await wait_until(lambda: rt.system.whereis(OBSERVER_NAME) is not None)
            ref = rt.system.whereis(OBSERVER_NAME)
            assert ref is not None
            rt.system.kill(ref, why="test")
            await wait_until(lambda ref=ref: not ref.is_alive)  # type: ignore[misc] # bound now
        assert (await greedy(model, "hello", max_tokens=3)).tokens
        assert rt.system.whereis(OBSERVER_NAME) is None
        assert model.gauges.n_starts == 1


async def test_a_host_that_dies_takes_the_observer_with_it_and_both_come_back(
    backend: FakeBackend, tmp_path: Path
) -> None:
    async with open_watched(backend, tmp_path) as (rt, _):
        host, observer = rt.system.whereis("engine.host"), rt.system.whereis(OBSERVER_NAME)
        assert host is not None
        rt.system.kill(host, why="test")
        await wait_until(lambda: rt.system.whereis(OBSERVER_NAME) not in (None, observer))
        async with watching(tmp_path / "observe.sock") as watcher:
            assert await watcher.line() is not None


async def test_a_runtime_that_closes_ends_the_connections_in_order(
    backend: FakeBackend, tmp_path: Path
) -> None:
    bus = StrictBus()
    async with trio.open_nursery() as nursery:
        async with open_watched(backend, tmp_path, bus=bus):
            reader = await nursery.start(read_to_the_end, tmp_path / "observe.sock")
            with record(bus, ("actors", "actor", "crash")) as heard:
                pass
        await reader.wait()
    assert heard.facts == []


async def read_to_the_end(
    path: Path, task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED
) -> None:
    ended = trio.Event()
    async with watching(path) as watcher:
        assert await watcher.line() is not None
        task_status.started(ended)
        while await watcher.line() is not None:
            pass
    ended.set()


async def test_a_directory_that_vanished_does_not_hurt_anybody(backend: FakeBackend, tmp_path: Path) -> None:
    """The cache cannot count its files then; it says so and goes on."""
    state_dir = tmp_path / "state"
    async with open_watched(backend, state_dir) as (rt, model):
        cache = rt.system.whereis("cache")
        async with watching(state_dir / "observe.sock") as watcher:
            shutil.rmtree(state_dir)
            await watcher.line()
            assert (await watcher.until(lambda line: line["kind"] == "snapshot"))["models"]
        assert cache is not None
        state_dir.mkdir()
        (state_dir / "snapshots").symlink_to("snapshots")  # no system call can read that
        with pytest.raises(CacheError):  # what the observer asks for now and then
            await cache.call(ReadCacheStatistics())
        assert rt.system.whereis("cache") == cache
        assert (await greedy(model, "hello", max_tokens=3)).tokens
