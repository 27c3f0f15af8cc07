"""actorllama behind a plain trio service: ``python -m actorllama.bench.peers.own_service PORT ORDER``.

It answers ``POST /completion`` with events as llama-server does, one request per connection, in the way of
`docs/examples/trio_service.py`.
"""

from __future__ import annotations

import json
import signal
import sys
from functools import partial
from typing import cast

import trio

from actorllama.bench.peers.own import OwnAsk, OwnOrder, OwnRuntime, open_own
from actorllama.engine import TextPiece
from actorllama.errors import ActorLlamaError

__all__ = ["serve"]

_OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: "
_STREAM = _OK + b"text/event-stream\r\n\r\n"
_OBJECT = _OK + b"application/json\r\n\r\n"


async def serve(own: OwnRuntime, port: int) -> None:
    """Answer until cancelled."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    await trio.serve_listeners(partial(_answer, own), listeners)


async def _answer(own: OwnRuntime, client: trio.SocketStream) -> None:
    try:
        path, body = await _read(client)
        match path:
            case "/completion":
                await _complete(own, client, json.loads(body))
            case "/cache":
                await client.send_all(_OBJECT + json.dumps({"n_bytes": await own.cache_bytes()}).encode())
            case _:
                await client.send_all(_OBJECT + b"{}")
    except trio.BrokenResourceError:
        pass  # the client went away


async def _read(client: trio.SocketStream) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        some = await client.receive_some(65_536)
        if not some:
            return "", b""
        data += some
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    sizes = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
    while len(body) < int(sizes[0] if sizes else 0):
        body += await client.receive_some(65_536)
    return first.split(" ")[1], body


async def _complete(own: OwnRuntime, client: trio.SocketStream, asked: dict[str, object]) -> None:
    n_told = 0

    async def tell(_time_s: float, piece: TextPiece) -> None:
        nonlocal n_told
        n_told += piece.n_tokens
        event: dict[str, object] = {
            "content": piece.text,
            "tokens": [],
            "stop": False,
            "tokens_predicted": n_told,
        }
        await client.send_all(b"data: %s\n\n" % json.dumps(event).encode())

    await client.send_all(_STREAM)
    try:
        result = await own.take(
            OwnAsk(
                prompt=tuple(cast("list[int]", asked["prompt"])),
                n_reply=cast("int", asked["n_predict"]),
                after=cast("str | None", asked["after"]),
            ),
            tell,
        )
    except ActorLlamaError as exc:
        await client.send_all(b"data: %s\n\n" % json.dumps({"error": str(exc)}).encode())
        return
    usage = result.usage
    end = {
        "stop": True,
        "tokens": result.tokens,
        "key": result.resume_key,
        "tokens_predicted": usage.n_generated,
        "tokens_evaluated": usage.n_prompt,
        "timings": {"prompt_n": usage.n_prefilled, "cache_n": usage.n_cached},
    }
    await client.send_all(b"data: %s\n\n" % json.dumps(end).encode())


async def _main(port: int, order: OwnOrder) -> None:
    async with open_own(order) as own, trio.open_nursery() as nursery:
        nursery.start_soon(serve, own, port)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _signal in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, int(sys.argv[1]), OwnOrder(**json.loads(sys.argv[2])))
