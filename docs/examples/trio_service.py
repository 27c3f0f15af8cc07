"""A plain trio service that streams turns as server-sent events, with nothing but trio.

::

    python docs/examples/trio_service.py 8000
    curl -N "http://127.0.0.1:8000/turn?prompt=Once+upon+a+time&max_tokens=32"

It answers as ``fastapi_service.py`` does, one request per connection. ``MODEL`` names a GGUF file; without it
the demo model answers.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import trio

import actorllama
from actorllama.errors import ActorLlamaError

_HEAD_MAX_BYTES = 16_384
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def event(data: dict[str, object], *, kind: str = "message") -> bytes:
    """Write one event."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


async def read_query(client: trio.SocketStream) -> dict[str, str]:
    """Read the head of a request, and what its address asks for."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_MAX_BYTES:
        some = await client.receive_some(4096)
        if not some:
            break
        head += some
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return dict(parse_qsl(urlsplit(words[1]).query)) if len(words) == 3 else {}


async def send_events(model: actorllama.Model, client: trio.SocketStream, query: dict[str, str]) -> None:
    """Take a turn and tell it as events."""
    try:
        async with model.stream(
            query.get("prompt", ""),
            max_tokens=int(query.get("max_tokens", "64")),
            seed=int(query.get("seed", "0")),
            timeout_s=60,
        ) as turn:
            async for piece in turn:
                await client.send_all(event({"text": piece.text}))
        result = turn.result
        data: dict[str, object] = {
            "finish_reason": result.finish_reason,
            "n_tokens": result.usage.n_generated,
        }
        await client.send_all(event(data, kind="end"))
    except (ActorLlamaError, ValueError) as exc:
        await client.send_all(event({"type": type(exc).__name__, "message": str(exc)}, kind="error"))


async def serve_one(model: actorllama.Model, client: trio.SocketStream) -> None:
    """Answer one client; when it goes away, its turn goes with it."""

    async def wait_gone() -> None:
        while await client.receive_some(4096):
            pass
        nursery.cancel_scope.cancel()

    try:
        query = await read_query(client)
        await client.send_all(_HEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_gone)
            await send_events(model, client, query)
            nursery.cancel_scope.cancel()
    except* trio.BrokenResourceError:
        pass  # it went away while something was sent


async def main(port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; tells the port when it listens."""
    async with actorllama.open_runtime() as rt:
        model = await rt.load("chat", os.environ.get("MODEL"), n_seq=8, n_threads=1)
        (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(partial(serve_one, model), [listener])


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]))
    except* KeyboardInterrupt:
        pass  # Ctrl-C: the turns are cancelled and their connections closed
