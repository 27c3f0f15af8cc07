"""What the actor bench measures: each thing done by the kernel, and the same by bare trio.

Every function returns microseconds per item, or bytes per item, of the timed part alone: what it opens
before, and the warm-up, do not count. Both sides of a pair do the same work in the same number of tasks.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from time import perf_counter

import trio
from attrs import field, frozen

from actorllama.actors import (
    Call,
    Caller,
    ChildSpec,
    Context,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    Supervisor,
    open_system,
)

__all__ = ["PAIRS", "Echo", "Pair", "Ping", "actor_bytes", "task_bytes"]

_N_MEMBERS = 100
_CAPACITY = 64
_N_WARM_UP = 50
_ONE_SHOT = 1


@frozen(kw_only=True)
class Pair:
    """One thing, done twice.

    Attributes:
        name: Of the kernel's figure, with its unit.
        bare_name: Of bare trio's figure.
        ratio_name: Of the one over the other.
        ours: Measures the kernel for ``n`` items.
        bare: Measures bare trio for ``n`` items.
        what: In words, for people.
    """

    name: str
    bare_name: str
    ratio_name: str
    ours: Callable[[int], Awaitable[float]]
    bare: Callable[[int], Awaitable[float]]
    what: str = field(repr=False)


class Ping(Call[None]):
    """Ask for an answer."""


class Note:
    """Ask for nothing."""


class Boom:
    """Make the actor crash."""


class Echo(Server[Ping, Note | Boom, object]):
    """Does as little as a server can."""

    async def handle_call(self, message: Ping, caller: Caller) -> Outcome:
        """Answer."""
        return Reply()

    async def handle_cast(self, message: Note | Boom) -> Outcome:
        """Take it, or crash."""
        if isinstance(message, Boom):
            raise ZeroDivisionError
        return NoReply()


async def call_us(n: int) -> float:
    """Time ``n`` round trips to one server, one after the other."""
    async with open_system() as system:
        ref = await system.start(Echo)
        for _ in range(_N_WARM_UP):
            await ref.call(Ping())
        began_s = perf_counter()
        for _ in range(n):
            await ref.call(Ping())
        return _us_since(began_s, n)


async def channel_call_us(n: int) -> float:
    """Time ``n`` round trips over two memory channels."""
    send_request, requests = trio.open_memory_channel[object](_CAPACITY)
    send_reply, replies = trio.open_memory_channel[object](_CAPACITY)

    async def serve() -> None:
        async for request in requests:
            await send_reply.send(request)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        for _ in range(_N_WARM_UP):
            await send_request.send(None)
            await replies.receive()
        began_s = perf_counter()
        for _ in range(n):
            await send_request.send(None)
            await replies.receive()
        us = _us_since(began_s, n)
        send_request.close()
    return us


async def cast_us(n: int) -> float:
    """Time ``n`` casts to one server, until all are handled."""
    async with open_system() as system:
        ref = await system.start(Echo, mailbox_capacity=_CAPACITY)
        note = Note()
        await ref.call(Ping())
        began_s = perf_counter()
        for _ in range(n):
            await ref.cast(note)
        await ref.call(Ping())
        return _us_since(began_s, n)


async def channel_us(n: int) -> float:
    """Time ``n`` items through one memory channel, until all are received."""
    send, receive = trio.open_memory_channel[object](_CAPACITY)
    done = trio.Event()

    async def take() -> None:
        async for _ in receive:
            pass
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.lowlevel.checkpoint()
        began_s = perf_counter()
        for _ in range(n):
            await send.send(None)
        send.close()
        await done.wait()
        return _us_since(began_s, n)


async def fan_out_us(n: int) -> float:
    """Time one event to each member of a group, ``n`` deliveries in all, until all are handled."""
    async with open_system() as system:
        groups = system.make_groups()
        note = Note()
        for _ in range(_N_MEMBERS):
            groups.join("all", await system.start(Echo))
        members = groups.members("all")
        n_events = max(1, n // _N_MEMBERS)
        began_s = perf_counter()
        for _ in range(n_events):
            for ref in groups.members("all"):
                ref.cast_nowait(note)
            await members[-1].call(Ping())
        return _us_since(began_s, n_events * _N_MEMBERS)


async def channel_fan_out_us(n: int) -> float:
    """Time one item into each of as many memory channels, until all are received."""
    n_received = 0
    channels = [trio.open_memory_channel[trio.Event](_CAPACITY) for _ in range(_N_MEMBERS)]

    async def take(receive: trio.MemoryReceiveChannel[trio.Event]) -> None:
        nonlocal n_received
        async for done in receive:
            n_received += 1
            if n_received % _N_MEMBERS == 0:
                done.set()

    n_events = max(1, n // _N_MEMBERS)
    async with trio.open_nursery() as nursery:
        for _, receive in channels:
            nursery.start_soon(take, receive)
        await trio.lowlevel.checkpoint()
        began_s = perf_counter()
        for _ in range(n_events):
            done = trio.Event()
            for send, _ in channels:
                send.send_nowait(done)
            await done.wait()
        us = _us_since(began_s, n_events * _N_MEMBERS)
        nursery.cancel_scope.cancel()
    return us


async def spawn_us(n: int) -> float:
    """Time ``n`` starts of an actor, each until its ``init`` has succeeded."""
    async with open_system() as system:
        began_s = perf_counter()
        for _ in range(n):
            await system.start(Echo)
        us = _us_since(began_s, n)
        _end_at_once(system.refs(), lambda ref: system.kill(ref, why="the bench is over"))
    return us


async def task_spawn_us(n: int) -> float:
    """Time ``n`` starts of a task with a channel of its own, each until it says that it has started."""
    async with trio.open_nursery() as nursery:
        began_s = perf_counter()
        for _ in range(n):
            await nursery.start(_wait_for_items)
        us = _us_since(began_s, n)
        nursery.cancel_scope.cancel()
    return us


async def restart_us(n: int) -> float:
    """Time ``n`` crashes of one child, each until its supervisor has brought it back."""
    send_news, news = trio.open_memory_channel[Ref](_ONE_SHOT)

    class Phoenix(Echo):
        async def init(self, ctx: Context) -> InitOutcome:
            send_news.send_nowait(ctx.ref)
            return Ready()

    child = ChildSpec(id="phoenix", start=Phoenix)
    async with open_system() as system:
        await system.start(lambda: Supervisor(children=(child,), max_restarts=n + 1, period_s=3600))
        ref = await news.receive()
        boom = Boom()
        began_s = perf_counter()
        for _ in range(n):
            await ref.cast(boom)
            ref = await news.receive()
        return _us_since(began_s, n)


async def task_restart_us(n: int) -> float:
    """Time ``n`` crashes of one task, each until a loop around it has started it again."""
    send_news, news = trio.open_memory_channel[trio.MemorySendChannel[object]](_ONE_SHOT)

    async def child() -> None:
        send, receive = trio.open_memory_channel[object](_CAPACITY)
        send_news.send_nowait(send)
        async for _ in receive:
            raise ZeroDivisionError

    async def keep_alive() -> None:
        while True:
            try:
                async with trio.open_nursery() as one:
                    one.start_soon(child)
            except* ZeroDivisionError:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_alive)
        send = await news.receive()
        began_s = perf_counter()
        for _ in range(n):
            await send.send(None)
            send = await news.receive()
        us = _us_since(began_s, n)
        nursery.cancel_scope.cancel()
    return us


async def actor_bytes(n: int) -> float:
    """Measure the Python memory of ``n`` actors alive."""
    async with open_system() as system:
        before = _traced_bytes()
        for _ in range(n):
            await system.start(Echo)
        each = (_traced_bytes() - before) / n
        tracemalloc.stop()
        _end_at_once(system.refs(), lambda ref: system.kill(ref, why="the bench is over"))
    return each


async def task_bytes(n: int) -> float:
    """Measure the Python memory of ``n`` tasks alive, each with a channel of its own."""
    async with trio.open_nursery() as nursery:
        before = _traced_bytes()
        for _ in range(n):
            await nursery.start(_wait_for_items)
        each = (_traced_bytes() - before) / n
        tracemalloc.stop()
        nursery.cancel_scope.cancel()
    return each


PAIRS: tuple[Pair, ...] = (
    Pair(
        name="call_us",
        bare_name="channel_call_us",
        ratio_name="call_to_channel",
        ours=call_us,
        bare=channel_call_us,
        what="call, round trip | two memory channels",
    ),
    Pair(
        name="cast_us",
        bare_name="channel_us",
        ratio_name="cast_to_channel",
        ours=cast_us,
        bare=channel_us,
        what="cast, handled | one memory channel",
    ),
    Pair(
        name="fan_out_us",
        bare_name="channel_fan_out_us",
        ratio_name="fan_out_to_channels",
        ours=fan_out_us,
        bare=channel_fan_out_us,
        what=f"event to a group of {_N_MEMBERS}, per member | as many channels",
    ),
    Pair(
        name="spawn_us",
        bare_name="task_spawn_us",
        ratio_name="spawn_to_task",
        ours=spawn_us,
        bare=task_spawn_us,
        what="start, init done | nursery.start",
    ),
    Pair(
        name="restart_us",
        bare_name="task_restart_us",
        ratio_name="restart_to_task",
        ours=restart_us,
        bare=task_restart_us,
        what="crash to running again | a task in a loop",
    ),
    Pair(
        name="actor_bytes",
        bare_name="task_bytes",
        ratio_name="actor_to_task_bytes",
        ours=actor_bytes,
        bare=task_bytes,
        what="memory of one actor alive | one task with a channel",
    ),
)


async def _wait_for_items(task_status: trio.TaskStatus[object]) -> None:
    send, receive = trio.open_memory_channel[object](_CAPACITY)
    with send, receive:
        task_status.started(send)
        await receive.receive()


def _us_since(began_s: float, n: int) -> float:
    return (perf_counter() - began_s) * 1e6 / n


def _traced_bytes() -> int:
    gc.collect()
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


def _end_at_once(refs: tuple[Ref, ...], end: Callable[[Ref], None]) -> None:
    """Spare the system the orderly end of thousands, one by one."""
    for ref in refs:
        end(ref)
