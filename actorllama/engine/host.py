"""The one thread on which all CPU decoding of a runtime happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Literal, TypeAlias, TypeVar

from attrs import define, frozen

from actorllama.engine.commands import Command
from actorllama.engine.loop import EngineLoop
from actorllama.engine.step_probe import StepProbe
from actorllama.errors import StateError

__all__ = ["EngineHost", "HostMessage", "Seat"]

R = TypeVar("R")


@define(kw_only=True, eq=False)
class Seat:
    """A loop's place on the host. Made by ``attach``; all fields belong to the host thread."""

    loop: EngineLoop
    on_failed: Callable[[Exception], None]
    weight: float
    used_s: float = 0.0
    """Step time divided by weight: who has least goes next (stride scheduling)."""
    was_runnable: bool = False


@frozen(kw_only=True)
class _Attach:
    seat: Seat


@frozen(kw_only=True)
class _Detach:
    seat: Seat
    done: Callable[[], None]


@frozen(kw_only=True)
class _Apply:
    seat: Seat
    command: Command


@frozen(kw_only=True)
class _Run:
    work: Callable[[], None]


class _Close:
    pass


HostMessage: TypeAlias = _Attach | _Detach | _Apply | _Run | _Close
"""What is put into the queue of a host."""


class EngineHost:
    """Run the steps of several engine loops on one thread, fairly by weight.

    Why one thread: with libgomp, a second thread that decodes slows every model of the process by
    40 to 50 % (llama-notes 0), and two cores gain nothing from two decoders anyway. An idle host
    blocks on its queue and costs nothing.

    Owner: the runtime. Every method may be called from any thread; all of them only enqueue.
    """

    def __init__(
        self,
        *,
        name: str = "actorllama-engine",
        clock: Callable[[], float] = perf_counter,
        probe: StepProbe | None = None,
    ) -> None:
        """Make the host; ``start`` makes its thread.

        Args:
            name: Of the thread.
            clock: Tells the seconds that a step costs.
            probe: Is told, on that thread, where each step of each loop is (a profile).
        """
        self.clock = clock
        self._probe = probe
        self._queue: SimpleQueue[HostMessage] = SimpleQueue()
        self._seats: list[Seat] = []
        self._is_closing = False
        # A daemon, so that a program that dies without closing its runtime does not hang at exit.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive: whether a message put now will be handled."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def attach(
        self, loop: EngineLoop, *, on_failed: Callable[[Exception], None], weight: float = 1.0
    ) -> Seat:
        """Give a loop its turns; ``on_failed`` is called on the host thread if a step raises."""
        if self._probe is not None:
            loop.probe_with(self._probe)
        seat = Seat(loop=loop, on_failed=on_failed, weight=weight)
        self._put(_Attach(seat=seat))
        return seat

    def detach(self, seat: Seat, done: Callable[[], None]) -> None:
        """Take a loop away between two steps; ``done`` is called when no step will touch it again."""
        self._put(_Detach(seat=seat, done=done))

    def submit(self, seat: Seat, command: Command) -> None:
        """Hand a command to a loop before its next step."""
        self._put(_Apply(seat=seat, command=command))

    def run(self, work: Callable[[], R]) -> Future[R]:
        """Run a function on the host thread, between steps (the bench's bare loop, a canary)."""
        future: Future[R] = Future()

        def perform() -> None:
            try:
                result = work()
            except BaseException as exc:  # noqa: BLE001 - it belongs to whoever waits for the future
                future.set_exception(exc)
            else:
                future.set_result(result)

        self._put(_Run(work=perform))
        return future

    def close(self, *, timeout_s: float) -> bool:
        """End the thread after the step it is in; False if that took longer than ``timeout_s``."""
        self._is_closing = True
        self._queue.put(_Close())
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, message: HostMessage) -> None:
        if self._is_closing:
            raise StateError(operation="engine host", reason="it is closed")
        self._queue.put(message)

    def _main(self) -> None:
        while self._advance(waits=True) != "closed":
            pass

    def _advance(self, *, waits: bool) -> Literal["busy", "idle", "closed"]:
        """Handle one message, else take one step; without either, wait for a message or say so."""
        seat = self._next_seat()
        if seat is not None and self._queue.empty():
            self._step(seat)
            return "busy"
        try:
            message = self._queue.get(block=waits and seat is None)
        except Empty:
            return "idle"  # only one who does not wait comes here
        if isinstance(message, _Close):
            self._finish()
            return "closed"
        self._handle(message)
        return "busy"

    def _finish(self) -> None:
        """Handle what was queued before the end was: nobody who put a message is left waiting."""
        while True:
            try:
                message = self._queue.get(block=False)
            except Empty:
                return
            if not isinstance(message, _Close):
                self._handle(message)

    def _next_seat(self) -> Seat | None:
        if len(self._seats) == 1:
            seat = self._seats[0]
            seat.was_runnable = seat.loop.is_runnable
            return seat if seat.was_runnable else None
        runnable = [seat for seat in self._seats if seat.loop.is_runnable]
        if not runnable:
            return None
        # A loop that was idle does not get to spend the time it saved up.
        floor = min(seat.used_s for seat in runnable)
        busy = [seat.used_s for seat in runnable if seat.was_runnable]
        floor = min(busy, default=floor)
        for seat in self._seats:
            is_runnable = seat in runnable
            if is_runnable and not seat.was_runnable:
                seat.used_s = max(seat.used_s, floor)
            seat.was_runnable = is_runnable
        return min(runnable, key=lambda seat: seat.used_s)

    def _step(self, seat: Seat) -> None:
        began = self.clock()
        try:
            seat.loop.step()
        except Exception as exc:  # noqa: BLE001 - told to the owner, who crashes with it
            self._fail(seat, exc)
        seat.used_s += (self.clock() - began) / seat.weight

    def _handle(self, message: _Attach | _Detach | _Apply | _Run) -> None:
        match message:
            case _Attach():
                self._seats.append(message.seat)
            case _Detach():
                self._remove(message.seat)
                message.done()
            case _Apply():
                if message.seat in self._seats:
                    try:
                        message.seat.loop.apply(message.command)
                    except Exception as exc:  # noqa: BLE001 - told to the owner, who crashes with it
                        self._fail(message.seat, exc)
            case _Run():
                message.work()

    def _fail(self, seat: Seat, error: Exception) -> None:
        self._remove(seat)
        seat.on_failed(error)

    def _remove(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
            seat.loop.close()
