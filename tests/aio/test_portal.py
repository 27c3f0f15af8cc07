"""The trio side: how it begins and ends, and who hears of it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Literal

import pytest
import trio

from actorllama import Config
from actorllama.aio import AsyncModel, open_blocking_runtime, open_runtime
from actorllama.errors import ConfigError, RuntimeClosed, StateError
from actorllama.kvcache import CacheOptions
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import CTX, open_model, run, wait_until, wait_until_idle

Mode = Literal["thread", "guest"]
ROOT = Path(__file__).parents[2]


def test_a_runtime_that_cannot_be_opened_says_why_with_the_type_of_the_error(
    backend: FakeBackend, mode: Mode, tmp_path: Path
) -> None:
    config = Config(cache=CacheOptions(mac_key_file=str(tmp_path / "none")))

    async def main() -> None:
        with pytest.raises(ConfigError):
            async with open_runtime(config, mode=mode, backend=backend):
                pytest.fail("it has no key")

    run(main)


def test_a_verb_after_the_end_is_an_error_and_no_hang(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (rt, model):
            pass
        with pytest.raises(RuntimeClosed, match="its owner closed it"):
            await model.complete("hello")
        with pytest.raises(RuntimeClosed):
            await rt.load("other", "x.gguf")
        with pytest.raises(RuntimeClosed):
            async with model.stream("hello"):
                pytest.fail("there is nobody to take it")

    run(main)


def test_closing_the_runtime_ends_the_turns_that_run_with_a_typed_error(
    backend: FakeBackend, mode: Mode
) -> None:
    async def read(model: AsyncModel, has_begun: asyncio.Event) -> None:
        async with model.stream("hello", temperature=0.0, window=4) as turn:
            await anext(turn)
            has_begun.set()
            async for _piece in turn:
                await asyncio.sleep(0)

    async def main() -> None:
        gate = backend.faults.hold_decode(nth=3)
        async with open_model(backend, mode=mode) as (_, model):
            has_begun = asyncio.Event()
            reading = asyncio.create_task(read(model, has_begun))
            await has_begun.wait()
            await wait_until(lambda: gate.is_entered)
        with pytest.raises(RuntimeClosed):
            await reading

    run(main)


def test_an_error_of_the_block_comes_out_and_the_runtime_is_closed(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with open_model(backend, mode=mode):
                raise ZeroDivisionError

    run(main)


def test_cancelling_the_owner_closes_the_runtime_in_order(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        is_open = asyncio.Event()

        async def own() -> None:
            async with open_model(backend, mode=mode) as (_, model):
                is_open.set()
                async with model.stream("hello", temperature=0.0, window=4):
                    await asyncio.Event().wait()

        owner = asyncio.create_task(own())
        await is_open.wait()
        owner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await owner

    run(main)


def test_an_owner_that_is_cancelled_while_it_opens_leaves_nothing_behind(
    backend: FakeBackend, mode: Mode
) -> None:
    async def own() -> None:
        async with open_runtime(mode=mode, backend=backend):
            await asyncio.Event().wait()

    async def main() -> None:
        for n_steps in range(4):
            owner = asyncio.create_task(own())
            for _ in range(n_steps):
                await asyncio.sleep(0)
            owner.cancel()
            with pytest.raises(asyncio.CancelledError):
                await owner

    run(main)


def test_cancelling_a_load_leaves_nothing_behind(backend: FakeBackend, mode: Mode) -> None:
    gate = backend.faults.hold_load()

    async def main() -> None:
        async with open_runtime(mode=mode, backend=backend) as rt:
            loading = asyncio.create_task(rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=CTX))
            await wait_until(lambda: gate.is_entered)
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
            gate.release()
            assert await rt.models() == ()
            await rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=CTX)

    run(main)


def test_a_load_whose_caller_was_cancelled_as_it_was_done_is_undone(backend: FakeBackend) -> None:
    gate = backend.faults.hold_load()

    async def main() -> None:
        async with open_runtime(backend=backend) as rt:
            loading = asyncio.create_task(rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=CTX))
            await wait_until(lambda: gate.is_entered)
            (job,) = list(rt._portal._jobs)

            def cancel() -> None:
                loading.cancel()  # between the job's end and the task's next step

            job.watchers.append(cancel)
            gate.release()
            with pytest.raises(asyncio.CancelledError):
                await loading
            assert await rt.models() == ()

    run(main)


def test_a_dead_trio_thread_is_an_error_for_every_waiter_and_for_the_owner(backend: FakeBackend) -> None:
    async def die() -> None:
        raise SystemExit("the thread dies")

    async def main() -> None:
        gate = backend.faults.hold_decode(nth=2)
        with pytest.raises(RuntimeClosed, match="the thread dies"):  # noqa: PT012 - the block raises at its end
            async with open_model(backend) as (rt, model):
                waiting = asyncio.create_task(model.complete("hello", temperature=0.0))
                await wait_until(lambda: gate.is_entered)
                with pytest.raises(RuntimeClosed):
                    await rt._bridge.call(die)
                with pytest.raises(RuntimeClosed):
                    await waiting
                with pytest.raises(RuntimeClosed):
                    await model.status()

    run(main)


def test_two_loops_in_two_threads_share_a_runtime(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):

            async def elsewhere() -> str:
                async with model.stream("there", max_tokens=20, temperature=0.0, window=4) as turn:
                    return "".join([piece.text async for piece in turn])

            other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
            here = await model.complete("there", max_tokens=20, temperature=0.0)
            assert await other == here.text

    run(main)
    for thread in threading.enumerate():
        assert not thread.name.startswith("actorllama")


def test_a_loop_that_was_closed_with_turns_running_loses_them(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (_, model):

            def leave() -> None:
                loop = asyncio.new_event_loop()
                stream = model.stream("lost", temperature=0.0, window=4)
                loop.run_until_complete(stream.__aenter__())
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    loop.close()
                lost.append(stream)

            lost: list[object] = []
            await asyncio.to_thread(leave)
            await wait_until_idle(model)
            # The generator was left by its loop for good: closing it may not wait any more.
            lost.clear()

    run(main)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_task_that_is_thrown_away_with_its_loop_waits_for_nothing(
    backend: FakeBackend,
) -> None:
    async def read(model: AsyncModel, has_begun: asyncio.Event) -> None:
        async with model.stream("lost", temperature=0.0, window=4) as turn:
            await anext(turn)
            has_begun.set()
            await asyncio.Event().wait()

    async def main() -> None:
        async with open_model(backend) as (_, model):

            def leave() -> None:
                loop = asyncio.new_event_loop()
                loop.set_exception_handler(lambda _loop, context: said.append(str(context["message"])))
                has_begun = asyncio.Event()
                task = loop.create_task(read(model, has_begun))
                loop.run_until_complete(has_begun.wait())
                loop.close()
                del task
                gc.collect()

            said: list[str] = []
            await asyncio.to_thread(leave)
            await wait_until_idle(model)
            assert said == ["Task was destroyed but it is pending!"]

    run(main)


def test_the_end_of_the_owners_loop_is_the_end_of_the_runtime(backend: FakeBackend) -> None:
    loop = asyncio.new_event_loop()
    opening = open_runtime(backend=backend)
    rt = loop.run_until_complete(opening.__aenter__())
    loop.close()
    rt._portal.join()
    with pytest.raises(RuntimeClosed):
        rt.model("fake")
    del opening


def test_a_forked_child_is_refused_and_does_not_hang(backend: FakeBackend) -> None:
    with open_blocking_runtime(backend=backend) as rt:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from 3.12 on
            child = os.fork()
        if child == 0:
            code = 1
            try:
                rt.models()
            except StateError as exc:
                code = 0 if "forked" in str(exc) else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert rt.models() == ()


@pytest.mark.slow
def test_a_script_that_forgets_to_close_still_ends() -> None:
    program = (
        "from actorllama.aio import open_blocking_runtime\n"
        "from actorllama.testing.fake_backend import FakeBackend\n"
        "opening = open_blocking_runtime(backend=FakeBackend())\n"
        "rt = opening.__enter__()\n"
        "rt.load('fake', 'x.gguf', n_seq=1, ctx_per_seq=64)\n"
        "print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_uvloop_works_where_it_is_installed(backend: FakeBackend) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with open_model(backend) as (_, model):
            async with model.stream("hello", max_tokens=20, temperature=0.0, window=4) as turn:
                text = "".join([piece.text async for piece in turn])
            assert text == turn.result.text

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_the_trio_face_works_beside_it(backend: FakeBackend) -> None:
    def script() -> int:
        with open_blocking_runtime(backend=backend) as rt:
            return len(rt.models())

    assert await trio.to_thread.run_sync(script) == 0


@pytest.mark.slow
def test_ctrl_c_in_a_script_cancels_the_turn_and_leaves_cleanly() -> None:
    program = (
        "import os, signal, threading\n"
        "from actorllama.aio import open_blocking_runtime\n"
        "from actorllama.testing.fake_backend import FakeBackend\n"
        "from actorllama.testing.fake_language import FakeLanguage\n"
        "backend = FakeBackend()\n"
        "backend.language = FakeLanguage(end_one_in=0)\n"
        "gate = backend.faults.hold_decode(nth=3)\n"
        "with open_blocking_runtime(backend=backend) as rt:\n"
        "    model = rt.load('fake', 'x.gguf', n_seq=1, ctx_per_seq=128)\n"
        "    try:\n"
        "        with model.stream('hello', temperature=0.0) as turn:\n"
        "            while not gate.is_entered:\n"
        "                pass\n"
        "            print('reading', flush=True)\n"
        "            for piece in turn:\n"
        "                pass\n"
        "    except KeyboardInterrupt:\n"
        "        gate.release()\n"
        "        while model.status().n_free_slots < 1:\n"
        "            pass\n"
        "        print('interrupted')\n"
        "backend.ledger.check()\n"
        "print([thread.name for thread in threading.enumerate() if 'Trio thread' not in thread.name])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "reading\n"
        script.send_signal(signal.SIGINT)
        try:
            out, _ = script.communicate(timeout=180)
        finally:
            script.kill()  # what hangs shall fail the test, not hang it
    assert (script.returncode, out) == (0, "interrupted\n['MainThread']\n")
