"""A server that is told to stop while eight clients stream: it ends, and everybody knows how."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from starlette.types import Message

from tests.examples.service_rig import EXAMPLES, load_example

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
N_CLIENTS = 8


@asynccontextmanager
async def serving(mode: str, *options: str) -> AsyncGenerator[tuple[Process, int], None]:
    """Run the endless service; gives its port."""
    command = [sys.executable, "-m", "uvicorn", "tests.examples.endless_service:app", "--port", "0", *options]
    process = await create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, "MODE": mode}, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process, int((await line_of(process, r"running on http://127\.0\.0\.1:(\d+)"))[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: Process, pattern: str) -> re.Match[str]:
    """Read what the server says until it says this."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if found := re.search(pattern, line.decode()):
            return found
    pytest.fail(f"it ended without saying {pattern}")


async def read(port: int, seed: int, reading: asyncio.Semaphore) -> bytes:
    """Read a stream to wherever it ends, and say when its second event has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/turn?prompt=Once&max_tokens=65000&seed={seed}"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n".encode())
    body = b""
    is_reading = False
    while some := await reader.read(1 << 16):
        body = body[-1 << 16 :] + some
        if not is_reading and body.count(b"event: message") >= 2:
            is_reading = True
            reading.release()
    writer.close()
    await writer.wait_closed()
    return body


async def connected(process: Process, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as soon as somebody listens."""
    while process.returncode is None:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.05)
    pytest.fail("it ended")


async def stop(process: Process, port: int, *signals: signal.Signals) -> tuple[list[bytes], str, str]:
    """Let eight clients stream, stop the server, and give what they and it had to say."""
    reading = asyncio.Semaphore(0)
    clients = [asyncio.create_task(read(port, seed, reading)) for seed in range(N_CLIENTS)]
    for _ in clients:
        await reading.acquire()
    for index, one in enumerate(signals):
        if index:
            await line_of(process, "Waiting for connections to close")
        process.send_signal(one)
    bodies = await asyncio.gather(*clients)
    out, err = await process.communicate()
    return bodies, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("mode", "told", "returncode"),
    [
        ("guest", signal.SIGTERM, -signal.SIGTERM),
        ("thread", signal.SIGINT, 0),
    ],
)
def test_a_server_that_stops_tells_every_stream_why_and_leaves_nothing(
    mode: str, told: signal.Signals, returncode: int
) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), serving(mode, "--timeout-graceful-shutdown", "0") as (process, port):
            bodies, out, err = await stop(process, port, told)
            for body in bodies:
                last = body[body.rindex(b"event: ") :]
                assert last.startswith(b'event: error\ndata: {"type": "RuntimeClosed"'), last
                assert last.endswith(b"\r\n0\r\n\r\n"), "the response is whole"
            assert out.splitlines()[-1] == "closed, ['MainThread']"
            assert "Traceback" not in err
            assert process.returncode == returncode, err

    asyncio.run(main())


def test_a_server_that_is_told_twice_does_not_wait_for_its_streams() -> None:
    async def main() -> None:
        async with asyncio.timeout(120), serving("guest") as (process, port):
            bodies, out, err = await stop(process, port, signal.SIGINT, signal.SIGINT)
            assert len(bodies) == N_CLIENTS
            assert out.splitlines()[-1] == "closed, ['MainThread']"
            assert err.count("Traceback") <= 2, "the server's own, about itself"

    asyncio.run(main())


@pytest.mark.model
def test_ctrl_c_ends_the_trio_service_and_its_streams_without_a_word() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port: int = taken.getsockname()[1]
        command = [sys.executable, str(EXAMPLES / "trio_service.py"), str(port)]
        process = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(120):
                readers = [await connected(process, port) for _ in range(N_CLIENTS)]
                for _, writer in readers:
                    writer.write(b"GET /turn?prompt=Once+upon+a+time&max_tokens=400 HTTP/1.1\r\n\r\n")
                await readers[0][0].readuntil(b"event: ")
                process.send_signal(signal.SIGINT)
                for reader, writer in readers:
                    with suppress(ConnectionError):  # what it had not read yet makes it a reset
                        await reader.read()
                    writer.close()
                assert await process.communicate() == (b"", b"")
                assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    asyncio.run(main())


def test_a_client_that_reads_nothing_does_not_keep_a_server_that_stops() -> None:
    async def texts() -> AsyncGenerator[str, None]:
        try:
            yield "event: message\n\n"
        finally:
            closed.append("the turn")

    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()  # it never goes away
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            is_full.set()
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        response = load_example("fastapi_service").EventStream(texts())
        answering = asyncio.create_task(response({"type": "http"}, receive, send))
        async with asyncio.timeout(60):
            await is_full.wait()
            is_full.clear()
            answering.cancel()
            await is_full.wait()  # with the last event, now
            assert closed == ["the turn"]
            answering.cancel()
            await answering
        assert asyncio.all_tasks() == {asyncio.current_task()}

    is_full = asyncio.Event()
    closed: list[str] = []
    asyncio.run(main(), debug=True)
