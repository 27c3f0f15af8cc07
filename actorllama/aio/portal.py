"""The trio side: a runtime on a thread of its own, and the way into it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Protocol, TypeVar

import trio

from actorllama.aio.ending import Ending
from actorllama.aio.inbox import Inbox
from actorllama.aio.job import Job
from actorllama.errors import RuntimeClosed, StateError
from actorllama.runtime import Runtime

__all__ = ["Outcome", "Portal"]

T = TypeVar("T")
_LOOK_S = 0.25


class Outcome(Protocol):
    """How a trio run ended, as trio tells a guest's host."""

    def unwrap(self) -> object:
        """Return the value or raise the error."""
        ...


class Portal:
    """Run a runtime under trio, take work from other threads, and see to it that each hears of its end.

    However the trio run ends, by `stop`, by an error or because its owner is gone, all work that has not
    ended then fails with `RuntimeClosed`: a dead thread is an error and never a hang. Work whose caller
    can hear no more (a closed loop, an ended thread) is cancelled.

    Owner: whoever opened it starts and stops it; every other method may be called from any thread.
    """

    def __init__(
        self, open_runtime: Callable[[], AbstractAsyncContextManager[Runtime]], owner: Inbox
    ) -> None:
        """Keep how the runtime is opened, and who is told that it is open."""
        self._open_runtime = open_runtime
        self.started = Ending(owner)
        """Ends when the runtime is open; fails with what kept it from that."""
        self.ended = Ending(owner)
        """Ends when the trio run has; fails with what ended it, if that was not `stop`."""
        self._runtime: Runtime | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._life = trio.CancelScope()
        self._is_stopping = False
        self._closed: RuntimeClosed | None = None
        self._failure: BaseException | None = None
        # Any thread puts jobs in, the trio thread takes them out, each in one step of the interpreter.
        self._jobs: dict[Ending, trio.CancelScope] = {}
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._host_id: int | None = None

    # -- the owner's -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread. Not a daemon: a program that ends without `stop` ends its runtime in order."""
        self._thread = threading.Thread(target=self._main, name="actorllama-trio", daemon=False)
        self._thread.start()

    def start_as_guest(
        self,
        call_soon_threadsafe: Callable[[Callable[[], object]], object],
        call_soon: Callable[[Callable[[], object]], object],
    ) -> None:
        """Run trio inside another loop instead, on its thread, which is this one; both call a thing there."""
        self._host_id = threading.get_ident()
        trio.lowlevel.start_guest_run(
            self._run,
            run_sync_soon_threadsafe=call_soon_threadsafe,
            run_sync_soon_not_threadsafe=call_soon,
            done_callback=self._end_as_guest,
            host_uses_signal_set_wakeup_fd=True,
        )

    def stop(self) -> None:
        """Cancel all work and close the runtime; `ended` tells when that is done.

        Raises:
            StateError: This process was forked from the one that opened it.
        """
        self._check_process("close")
        self._is_stopping = True
        self._send(self._life.cancel)

    def join(self) -> None:
        """Wait for the last steps of a thread that has told its end."""
        if self._thread is not None:
            self._thread.join()

    # -- any thread's ----------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The open runtime, for what any thread may read.

        Raises:
            RuntimeClosed: It is not open.
        """
        if self._closed is not None or self._runtime is None:
            raise self._closed or RuntimeClosed(reason="it was not opened")
        return self._runtime

    def submit(self, job: Job[T]) -> Job[T]:
        """Start a job as a trio task and return it; it may end before this returns.

        Raises:
            RuntimeClosed: The trio run has ended.
            StateError: This process was forked from the one that opened it.
        """
        self._check_process("call")
        self._jobs[job] = job.scope
        if self._closed is not None:  # looked at after the job was put in: one side sees the other
            self._jobs.pop(job, None)
            raise self._closed
        self._send(partial(self._spawn, job))
        return job

    def cancel(self, job: Job[T]) -> None:
        """Cancel work; it still tells its end.

        Raises:
            StateError: This process was forked from the one that opened the runtime.
        """
        self._check_process("cancel")
        self._send(job.scope.cancel)

    def run_soon(self, action: Callable[[], None]) -> None:
        """Do something on the trio thread, if it still runs; it must neither wait nor raise."""
        self._send(action)

    # -- behind the face -------------------------------------------------------------------------

    def _check_process(self, operation: str) -> None:
        if os.getpid() != self._pid:
            raise StateError(
                operation=operation,
                reason="the process was forked after the runtime was opened, and threads do not survive that",
                hint="Open a runtime in each process.",
            )

    def _send(self, action: Callable[[], None]) -> None:
        if self._token is None:
            return
        if threading.get_ident() == self._host_id:  # a host may call what does not wait
            if self._closed is None:
                action()
        else:
            with suppress(trio.RunFinishedError):  # its end tells, or has told, everybody
                self._token.run_sync_soon(action)

    def _main(self) -> None:
        try:
            trio.run(self._run)
        except BaseException as exc:  # noqa: BLE001 - the thread ends here, and who waits must hear of it
            self._failure = exc
        finally:
            self._finish()

    def _end_as_guest(self, outcome: Outcome) -> None:
        try:
            outcome.unwrap()
        except BaseException as exc:  # noqa: BLE001 - as above
            self._failure = exc
        self._finish()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with self._open_runtime() as self._runtime, trio.open_nursery() as nursery:
            self._nursery = nursery
            self.started.inbox.post(self.started.end)
            try:
                with self._life:
                    await self._watch()
            finally:
                self._nursery = None  # a closed nursery takes nothing: what comes now `_finish` fails
            nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Look after callers that cannot say that they are gone: a closed loop and a dead thread are mute."""
        while not self._is_stopping and threading.main_thread().is_alive():
            if self.started.inbox.is_gone:
                return
            for job, scope in list(self._jobs.items()):
                if job.inbox.is_gone:
                    scope.cancel()
            await trio.sleep(_LOOK_S)

    def _spawn(self, job: Job[T]) -> None:
        if self._nursery is not None:  # else `_finish` fails it
            job.context.run(self._nursery.start_soon, self._perform, job)

    async def _perform(self, job: Job[T]) -> None:
        await job.run()
        self._jobs.pop(job, None)

    def _finish(self) -> None:
        failure = self._failure
        self._closed = closed = RuntimeClosed(
            reason="its owner closed it" if failure is None else repr(failure)
        )
        closed.__cause__ = failure
        for job in list(self._jobs):
            job.inbox.post(partial(job.fail, closed))
        self._jobs.clear()
        refused = failure if isinstance(failure, Exception) else closed
        self.started.inbox.post(partial(self.started.fail, refused))
        self.ended.inbox.post(self.ended.end if failure is None else partial(self.ended.fail, closed))
