"""A system: one flat nursery, the names, the timers, the reaper; and the order in which it ends."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

import trio

from actorllama.actors.groups import Groups
from actorllama.actors.living import Living
from actorllama.actors.loop import Loop
from actorllama.actors.mailbox import Overflow
from actorllama.actors.notice import Monitor
from actorllama.actors.process import Process
from actorllama.actors.reaper import NativeRunner, Reaper
from actorllama.actors.reason import ExitReason, Killed, NoProcess, Shutdown
from actorllama.actors.ref import Ref
from actorllama.actors.registry import Registry
from actorllama.actors.spec import ChildSpec, ShutdownGrace
from actorllama.actors.stopping import stop_process
from actorllama.actors.timers import Timers
from actorllama.actors.tree import TreeNode, plant
from actorllama.actors.via import Via
from actorllama.errors import NameTaken, StartRefused
from actorllama.telemetry import Bus

__all__ = ["System"]


class System:
    """Everything that actors of one tree share.

    Tasks live in one flat nursery; who looks after whom is data. So a crash cancels nobody, and children
    can be stopped one by one in a chosen order.

    Owner: the ``async with open_system()`` block.
    """

    def __init__(
        self, *, name: str, bus: Bus, nursery: trio.Nursery, runner: NativeRunner, messages_per_step: int
    ) -> None:
        """Made by ``open_system``."""
        self.name = name
        self.bus = bus
        self.timers = Timers()
        self.names = Registry()
        self.reaper = Reaper(nursery=nursery, runner=runner, bus=bus)
        self.messages_per_step = messages_per_step
        self._nursery = nursery
        self._ledgers: list[Registry | Groups] = [self.names]
        self._processes: dict[Ref, Process] = {}
        self._n_started = 0
        self._signals: deque[Callable[[], None]] = deque()
        self._is_delivering = False
        self._is_closing = False
        self._changed = trio.Event()
        self._interrupt: BaseException | None = None

    def __repr__(self) -> str:
        """Show the name and the number of live actors."""
        return f"<System {self.name} n_actors={len(self._processes)}>"

    # -- starting and sending ------------------------------------------------------------------

    async def start(
        self,
        start: Callable[[], Living],
        *,
        name: str | Via | None = None,
        mailbox_capacity: int = 64,
        overflow: Overflow = "refuse",
        shutdown: ShutdownGrace | None = None,
        init_timeout_s: float = math.inf,
    ) -> Ref:
        """Start an actor that no supervisor looks after; the system stops it at its end.

        Returns:
            Its reference, after ``init`` has succeeded. After ``Ignore`` the reference is a dead one.

        Raises:
            StartRefused: ``init`` refused, raised, or took too long; or the system is closing.
            NameTaken: The name has a live holder; ``init`` did not run.
        """
        spec = ChildSpec(
            id=str(name or "actor"),
            start=start,
            restart="temporary",
            shutdown=shutdown,
            name=name,
            mailbox_capacity=mailbox_capacity,
            overflow=overflow,
            init_timeout_s=init_timeout_s,
        )
        return (await self.start_process(spec, parent=None)).ref

    def kill(self, ref: Ref, *, why: str) -> None:
        """End an actor at once; it cannot refuse, and ``terminate`` does not run."""
        process = self._processes.get(ref)
        if process is not None:
            process.die(Killed(why))

    def send_exit(self, ref: Ref, reason: ExitReason, *, sender: Ref | None = None) -> None:
        """Send an exit signal: ends the actor at once, unless it traps exits or the reason is ``Normal``.

        An actor's parent asks for an orderly end instead: ``terminate`` runs.
        """
        process = self._processes.get(ref)
        if process is None:
            return
        if sender is not None and process.parent is not None and process.parent.ref is sender:
            process.request_shutdown(reason)
        elif isinstance(reason, Killed):
            process.die(reason)
        else:
            process.receive_exit(sender, reason)

    def monitor(self, target: Ref | str) -> Monitor:
        """Watch an actor from code that is no actor: ``down = await monitor.wait()``."""
        ref = self.whereis(target) if isinstance(target, str) else target
        monitor = Monitor(ref=ref, name=target if isinstance(target, str) else target.name, deliver=None)
        process = None if ref is None else self.process_of(ref)
        if process is None:
            monitor.fire(NoProcess())
        else:
            process.watch(monitor)
        return monitor

    def demonitor(self, monitor: Monitor) -> None:
        """Stop watching."""
        monitor.disarm()

    def whereis(self, name: str) -> Ref | None:
        """Find a live actor by name; it may be dead an instant later."""
        return self.names.whereis(name)

    def via(self, name: str) -> Via:
        """Make an address that looks the name up at every use."""
        return Via(self.names, name)

    def make_registry(self, *, keys: Literal["unique", "duplicate"] = "unique") -> Registry:
        """Make another registry; entries vanish at a death, before anybody hears of it."""
        registry = Registry(keys=keys)
        self._ledgers.append(registry)
        return registry

    def make_groups(self) -> Groups:
        """Make groups; members leave at their death, before anybody hears of it."""
        groups = Groups()
        self._ledgers.append(groups)
        return groups

    def tree(self) -> tuple[TreeNode, ...]:
        """Show who looks after whom, and how each is; asks nobody, so it answers even if all are stuck."""
        return plant(process for process in self._processes.values() if process.parent is None)

    def refs(self) -> tuple[Ref, ...]:
        """List the live actors, eldest first."""
        return tuple(self._processes)

    # -- the kernel's side ---------------------------------------------------------------------

    def process_of(self, ref: Ref) -> Process | None:
        """Find the live process behind a reference."""
        return self._processes.get(ref)

    async def start_process(self, spec: ChildSpec, *, parent: Process | None) -> Process:
        """Start a process and wait for its init; whoever is cancelled here kills what it was starting."""
        if self._is_closing and (parent is None or parent.exit_reason is not None):
            raise StartRefused(child=str(spec.name or spec.id), reason="the system is closing")
        via = self.via(spec.name) if isinstance(spec.name, str) else spec.name
        if via is not None:
            await self._wait_for_name(via)
        process = self._spawn(spec, parent, via)
        try:
            with (
                trio.move_on_after(spec.init_timeout_s)
                if spec.init_timeout_s < math.inf
                else trio.CancelScope()
            ):
                await process.started.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self._abandon(process)
            raise
        if not process.started.is_set():
            process.die(Killed(f"init took longer than {spec.init_timeout_s} s"))
        if process.start_error is not None:
            raise process.start_error
        if not (process.has_started or process.is_ignored):
            raise StartRefused(child=process.ref.name, reason=process.exit_reason)
        return process

    async def _abandon(self, process: Process) -> None:
        if process.is_supervisor:  # has children already, and they are to stop in order
            await stop_process(process, Shutdown("its start was cancelled"))
        else:
            process.die(Killed("its start was cancelled"))

    async def _wait_for_name(self, via: Via) -> None:
        """Let an orphan end that still holds the name: its supervisor was killed and is being restarted."""
        while via.registry.is_taken(via.key):
            holder = via.registry.whereis(via.key)
            process = None if holder is None else self._processes.get(holder)
            if process is None or process.parent is None or process.parent.exit_reason is None:
                raise NameTaken(name=str(via), ref=holder)
            await process.wait_exit()

    def _spawn(self, spec: ChildSpec, parent: Process | None, via: Via | None) -> Process:
        self._n_started += 1
        process = Process(self, pid=self._n_started, spec=spec, parent=parent)
        self._processes[process.ref] = process
        if via is not None:
            via.registry.register(via.key, process.ref)
        self._nursery.start_soon(Loop(self, process).run, name=repr(process.ref))
        return process

    def deliver(self, signal: Callable[[], None]) -> None:
        """Run a signal after those under way: deaths that cause deaths do not recurse."""
        self._signals.append(signal)
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._signals:
                self._signals.popleft()()
        finally:
            self._is_delivering = False

    def forget(self, ref: Ref) -> None:
        """The actor is dead: free its names before anybody hears of it."""
        self._processes.pop(ref, None)
        for ledger in self._ledgers:
            ledger.forget(ref)
        self._changed.set()

    def abort(self, exc: BaseException) -> None:
        """An interrupt reached an actor: take the system down in order, then raise it."""
        self._interrupt = exc
        self.request_close()

    # -- the end -------------------------------------------------------------------------------

    def request_close(self) -> None:
        """Begin to end; may be called at any time, any number of times."""
        self._is_closing = True
        self._changed.set()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Serve timers until asked to close, then stop what was started last first."""
        async with trio.open_nursery() as service:
            service.start_soon(self.timers.run)
            task_status.started()
            while not self._is_closing:
                await self._wait_for_change()
            while self._processes:
                youngest_first = reversed(self._processes.values())
                root = next((process for process in youngest_first if process.parent is None), None)
                if root is None:
                    await self._wait_for_change()
                else:
                    await stop_process(root, Shutdown())
            service.cancel_scope.cancel()

    async def _wait_for_change(self) -> None:
        self._changed = trio.Event()
        await self._changed.wait()

    def raise_interrupt(self) -> None:
        """Raise what made an actor abort the system, if anything did."""
        if self._interrupt is not None:
            raise self._interrupt
