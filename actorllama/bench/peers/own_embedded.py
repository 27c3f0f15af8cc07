"""actorllama embedded: ``python -m actorllama.bench.peers.own_embedded ORDER``, told what to do by lines."""

from __future__ import annotations

import json
import signal
import sys
from typing import cast

import trio

from actorllama.bench.peers.own import OwnAsk, OwnOrder, OwnRuntime, open_own
from actorllama.engine import TextPiece
from actorllama.errors import ActorLlamaError

__all__ = ["obey"]


async def obey(own: OwnRuntime, orders: trio.abc.ReceiveStream) -> None:
    """Do what each line says, all at the same time, until the stream ends."""
    rest = b""
    async with trio.open_nursery() as nursery:
        async for some in orders:
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                nursery.start_soon(_do, own, json.loads(line))


async def _do(own: OwnRuntime, order: dict[str, object]) -> None:
    if order["op"] == "cache":
        _tell(order, n_bytes=await own.cache_bytes())
        return
    arrivals: list[tuple[float, int]] = []

    async def note(time_s: float, piece: TextPiece) -> None:
        await trio.lowlevel.checkpoint()
        arrivals.append((time_s, piece.n_tokens))

    try:
        ask = OwnAsk(
            prompt=tuple(cast("list[int]", order["prompt"])),
            n_reply=cast("int", order["n_reply"]),
            after=cast("str | None", order["after"]),
        )
        result = await own.take(ask, note)
    except ActorLlamaError as exc:
        _tell(order, error=str(exc))
        return
    _tell(
        order,
        arrivals=arrivals,
        reply=result.tokens,
        n_computed=result.usage.n_prefilled,
        key=result.resume_key,
    )


def _tell(order: dict[str, object], **answer: object) -> None:
    print(json.dumps({"number": order["number"], **answer}), flush=True)


async def _main(order: OwnOrder) -> None:
    async with open_own(order) as own, trio.open_nursery() as nursery:

        async def until_told() -> None:
            await obey(own, trio.lowlevel.FdStream(0))
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_told)
        _tell({"number": 0})
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _signal in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, OwnOrder(**json.loads(sys.argv[1])))
