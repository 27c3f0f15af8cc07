"""What an actor costs against how many others are alive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import thread_time
from typing import Final

import trio

from actorllama.actors import Ref, System, open_system
from actorllama.bench.actor_pairs import Echo, Ping, actor_bytes, task_bytes
from actorllama.bench.harness import Spread, in_turns
from actorllama.bench.scaling.curve import Curve, Side, Theory
from actorllama.bench.scaling.options import ScalingBenchOptions

__all__ = ["actor_curves"]

_N_CALLS: Final = 200
_N_STARTS: Final = 10
_CAPACITY: Final = 64
_THEORIES: Final = {
    "call_s": Theory(exponent=0.0, words="O(1): an actor that waits is in no queue"),
    "start_s": Theory(exponent=0.0, words="O(1): a table of actors by reference"),
    "actor_bytes": Theory(exponent=0.0, words="O(1) for each"),
}


async def actor_curves(options: ScalingBenchOptions, on_progress: Callable[[str], None]) -> tuple[Curve, ...]:
    """Measure a call and a start beside so many actors that wait, and the memory of each; and of bare tasks.

    All times are of the processor: one thread does it all, and a busy machine does not spoil the curve.

    Cost: 10 s, most of it for 10,000 actors and as many tasks under a memory tracer.
    """
    found: dict[tuple[str, Side], list[tuple[int, Spread]]] = {}

    def add(name: str, side: Side, size: int, figures: tuple[float, ...]) -> None:
        found.setdefault((name, side), []).append((size, Spread.of(figures)))

    for n_actors in options.sizes("actors"):
        async with open_system() as system, trio.open_nursery() as nursery:
            refs = [await system.start(Echo) for _ in range(n_actors)]
            for _ in range(n_actors):
                nursery.start_soon(trio.sleep_forever)
            calls, bare_calls = await in_turns(
                partial(_call_s, refs[n_actors // 2]), _bare_call_s, n_rounds=options.n_rounds
            )
            starts, bare_starts = await in_turns(
                partial(_start_s, system), _bare_start_s, n_rounds=options.n_rounds
            )
            for ref in system.refs():
                system.kill(ref, why="the bench is over")  # spares the orderly end of thousands
            nursery.cancel_scope.cancel()
        add("call_s", "runtime", n_actors, calls)
        add("call_s", "bare", n_actors, bare_calls)
        add("start_s", "runtime", n_actors, starts)
        add("start_s", "bare", n_actors, bare_starts)
        add("actor_bytes", "runtime", n_actors, (await actor_bytes(n_actors),))
        add("actor_bytes", "bare", n_actors, (await task_bytes(n_actors),))
        on_progress(f"{n_actors} actors")
    return tuple(
        Curve(
            axis="actors",
            name=name,
            side=side,
            unit="bytes" if name.endswith("_bytes") else "s",
            theory=_THEORIES[name],
            points=tuple(points),
        )
        for (name, side), points in found.items()
    )


async def _call_s(ref: Ref, _number: int) -> float:
    began_s = thread_time()
    for _ in range(_N_CALLS):
        await ref.call(Ping())
    return (thread_time() - began_s) / _N_CALLS


async def _bare_call_s(_number: int) -> float:
    send_request, requests = trio.open_memory_channel[object](_CAPACITY)
    send_reply, replies = trio.open_memory_channel[object](_CAPACITY)

    async def serve() -> None:
        async for request in requests:
            await send_reply.send(request)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        began_s = thread_time()
        for _ in range(_N_CALLS):
            await send_request.send(None)
            await replies.receive()
        each_s = (thread_time() - began_s) / _N_CALLS
        send_request.close()
    return each_s


async def _start_s(system: System, _number: int) -> float:
    began_s = thread_time()
    refs = [await system.start(Echo) for _ in range(_N_STARTS)]
    each_s = (thread_time() - began_s) / _N_STARTS
    for ref in refs:
        system.kill(ref, why="the next round begins as this one did")
    return each_s


async def _bare_start_s(_number: int) -> float:
    async def wait(task_status: trio.TaskStatus[None]) -> None:
        send, receive = trio.open_memory_channel[None](1)
        with send, receive:
            task_status.started()
            await receive.receive()

    async with trio.open_nursery() as nursery:
        began_s = thread_time()
        for _ in range(_N_STARTS):
            await nursery.start(wait)
        each_s = (thread_time() - began_s) / _N_STARTS
        nursery.cancel_scope.cancel()
    return each_s
