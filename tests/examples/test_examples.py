"""The programs in docs/examples do what they say."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import inspect
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import CodeType

import pytest
import trio
import uvicorn

from actorllama import aio
from tests.examples.service_rig import EXAMPLES, Client, check_outcomes, load_example, run_clients

pytestmark = [pytest.mark.slow, pytest.mark.model]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    gc.collect()  # what was not closed warns here, and a warning is an error
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert [name for name in left if not name.startswith("Trio thread")] == []


async def wait_until_idle(model: aio.AsyncModel) -> None:
    async with asyncio.timeout(180):
        while (status := await model.status()).n_free_slots < status.n_seq or status.n_queued:
            pass


def test_the_fastapi_service_serves_eight_clients_two_of_which_disconnect() -> None:
    app = load_example("fastapi_service").app

    async def main() -> list[Client]:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none", loop="asyncio"))
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(180):
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/turn"
        clients = await run_clients(url)
        await wait_until_idle(app.state.model)
        again = await run_clients(url)
        assert [client.texts for client in again[2:]] != []
        check_outcomes(again)
        await wait_until_idle(app.state.model)
        server.should_exit = True
        await serving
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return clients

    check_outcomes(asyncio.run(main(), debug=True))


async def test_the_trio_service_serves_eight_clients_two_of_which_disconnect() -> None:
    service = load_example("trio_service")

    def clients_of(port: int) -> list[Client]:
        return asyncio.run(run_clients(f"http://127.0.0.1:{port}/turn"))

    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(service.main, 0)
        check_outcomes(await trio.to_thread.run_sync(clients_of, port))
        check_outcomes(await trio.to_thread.run_sync(clients_of, port))
        nursery.cancel_scope.cancel()


def test_the_script_prints_its_turns_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "script.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "5" in done.stdout.splitlines()[0]
    assert done.stdout.endswith("3 messages\n")


def test_the_cells_of_the_notebook_run_one_after_the_other_in_a_running_loop() -> None:
    source = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    cells = [
        compile(cell, "notebook.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        for cell in source.split("# %%")
        if not cell.startswith(" [markdown]")
    ]
    assert len(cells) >= 4
    out = io.StringIO()

    async def run_cell(cell: CodeType, names: dict[str, object]) -> None:
        value: object = eval(cell, names)
        if inspect.isawaitable(value):
            await value

    async def main() -> None:
        names: dict[str, object] = {}
        for cell in cells:  # each in a task of its own, as a notebook's kernel does
            await asyncio.create_task(run_cell(cell, names))

    with contextlib.redirect_stdout(out):
        asyncio.run(main(), debug=True)
    assert "5" in out.getvalue().splitlines()[-1]
