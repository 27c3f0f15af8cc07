"""What an actor may do as itself: watch, link, start, set timers, run native code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

from actorllama.actors.living import Living
from actorllama.actors.mailbox import INFO
from actorllama.actors.notice import Down, Exit, Monitor
from actorllama.actors.process import Process
from actorllama.actors.reaper import Owned, Reaper
from actorllama.actors.reason import ExitReason, NoProcess
from actorllama.actors.ref import Ref
from actorllama.actors.spec import ChildSpec, ShutdownGrace
from actorllama.actors.timers import Timer
from actorllama.actors.via import Via
from actorllama.errors import ActorExited
from actorllama.telemetry import Bus

__all__ = ["Context"]

T = TypeVar("T")
R = TypeVar("R")


class Kernel(Protocol):
    """What a context needs of the system."""

    @property
    def bus(self) -> Bus:
        """Where events go."""
        ...

    @property
    def reaper(self) -> Reaper:
        """Who owns native resources."""
        ...

    def whereis(self, name: str) -> Ref | None:
        """Find a live actor by name."""
        ...

    def process_of(self, ref: Ref) -> Process | None:
        """Find the live process behind a reference."""
        ...

    def send_exit(self, ref: Ref, reason: ExitReason, *, sender: Ref | None = None) -> None:
        """Send an exit signal."""
        ...

    async def start_process(self, spec: ChildSpec, *, parent: Process | None) -> Process:
        """Start a process and wait for its init."""
        ...


class Context:
    """The actor's own side of the kernel, handed to ``init``.

    Owner: the actor that it was made for; nobody else may use it.
    """

    __slots__ = ("_kernel", "process", "ref")

    def __init__(self, kernel: Kernel, process: Process) -> None:
        """Made by the loop."""
        self._kernel = kernel
        self.process = process
        self.ref = process.ref

    @property
    def bus(self) -> Bus:
        """The bus of the system."""
        return self._kernel.bus

    @property
    def kernel(self) -> Kernel:
        """The system, as the kernel's own actors use it."""
        return self._kernel

    def whereis(self, name: str) -> Ref | None:
        """Find a live actor by name; it may be dead an instant later."""
        return self._kernel.whereis(name)

    # -- watching ------------------------------------------------------------------------------

    def monitor(self, target: Ref | str) -> Monitor:
        """Get one `Down` in ``handle_info`` when the target ends; at once if there is none."""
        ref = self._kernel.whereis(target) if isinstance(target, str) else target
        name = target if isinstance(target, str) else target.name
        monitor = Monitor(ref=ref, name=name, deliver=self._deliver_down)
        process = None if ref is None else self._kernel.process_of(ref)
        if process is None:
            monitor.fire(NoProcess())
        else:
            process.watch(monitor)
            self.process.watching[monitor] = None
        return monitor

    def demonitor(self, monitor: Monitor) -> None:
        """Stop watching; no `Down` of it is delivered from now on, a queued one included (rule P10)."""
        monitor.disarm()
        self.process.watching.pop(monitor, None)
        if monitor.down is not None:
            self.process.mailbox.remove(lambda message: message is monitor.down)

    def link(self, ref: Ref) -> None:
        """Share fate: the abnormal end of either ends the other, or reaches it as `Exit` if it traps.

        Raises:
            ActorExited: The other is dead and this actor does not trap exits.
        """
        process = self._kernel.process_of(ref)
        if process is not None:
            if process is not self.process:
                self.process.link(process)
        elif self.process.traps_exits:
            self.process.receive_exit(ref, NoProcess())
        else:
            raise ActorExited(ref=ref, reason=NoProcess())

    def unlink(self, ref: Ref) -> None:
        """End the link; an exit of the other is no longer told, a queued one included."""
        process = self._kernel.process_of(ref)
        if process is not None:
            self.process.unlink(process)
        self.process.mailbox.remove(lambda message: isinstance(message, Exit) and message.ref is ref)

    def exit(self, ref: Ref, reason: ExitReason) -> None:
        """Send an exit signal to another actor, as this one."""
        self._kernel.send_exit(ref, reason, sender=self.ref)

    # -- starting ------------------------------------------------------------------------------

    async def start(
        self,
        start: Callable[[], Living],
        *,
        name: str | Via | None = None,
        mailbox_capacity: int = 64,
        shutdown: ShutdownGrace | None = None,
        init_timeout_s: float = math.inf,
    ) -> Ref:
        """Start a linked child: it is asked to end when this actor does (``start_link``).

        Raises:
            StartRefused: Its ``init`` did not succeed.
            NameTaken: The name has a live holder; ``init`` did not run.
        """
        spec = ChildSpec(
            id=str(name or "child"),
            start=start,
            name=name,
            mailbox_capacity=mailbox_capacity,
            shutdown=shutdown,
            init_timeout_s=init_timeout_s,
            restart="temporary",
        )
        return (await self._kernel.start_process(spec, parent=self.process)).ref

    # -- time and native code ------------------------------------------------------------------

    def send_after(self, delay_s: float, message: object) -> Timer:
        """Deliver ``message`` to this actor's ``handle_info`` after a while, unless cancelled or dead."""
        return self.process.after(delay_s, lambda: self.process.mailbox.post((INFO, message, None)))

    def cancel_timer(self, timer: Timer) -> None:
        """Cancel what :meth:`send_after` set; a message already queued stays queued."""
        self.process.cancel(timer)

    def own(
        self, value: T, close: Callable[[T], None], *, abort: Callable[[T], None] | None = None
    ) -> Owned[T]:
        """Put a native resource into the reaper's care: freed once, when this actor ends in any way.

        Args:
            value: The resource.
            close: Frees it; runs in a thread, after the last call on it has returned.
            abort: Asks a running call to return early; runs at once, on the trio thread.
        """
        owned = Owned(value, close, abort)
        self.process.on_exit[lambda: self._kernel.reaper.release(owned)] = None
        return owned

    async def run_native(self, fn: Callable[[T], R], owned: Owned[T]) -> R:
        """Run ``fn(owned.value)`` in a thread and wait; a kill of this actor does not wait for it."""
        return await self._kernel.reaper.run(fn, owned)

    def release(self, owned: Owned[T]) -> None:
        """Free a resource before this actor ends."""
        self._kernel.reaper.release(owned)

    def _deliver_down(self, down: Down) -> None:
        self.process.watching.pop(down.monitor, None)
        self.process.mailbox.post((INFO, down, None))
