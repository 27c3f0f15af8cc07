"""The address of an actor, and all that one may send to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar, overload

import trio

from actorllama.actors.call import Call
from actorllama.actors.mailbox import CALL, CAST, INFO, STOP, SYSTEM, Item, Mailbox, Overflow
from actorllama.actors.reason import ExitReason, NoProcess, Normal
from actorllama.actors.reply import Caller
from actorllama.actors.timers import Timers
from actorllama.errors import ActorExited, CallingSelf, CallTimeout, MailboxFull

__all__ = ["Ref"]

R = TypeVar("R")
DEFAULT_TIMEOUT_S = 5.0


class Target(Protocol):
    """What a reference needs of the process behind it."""

    outstanding: dict[Caller, None]
    exit_reason: ExitReason | None
    task: trio.lowlevel.Task | None

    @property
    def mailbox(self) -> Mailbox:
        """Where messages go."""
        ...

    @property
    def overflow(self) -> Overflow:
        """What a cast finds in a full mailbox."""
        ...

    @property
    def timers(self) -> Timers:
        """Where deadlines go."""
        ...

    def withdraw(self, caller: Caller) -> None:
        """Take back a call that still waits for room."""
        ...

    def timeout_error(self, timeout_s: float) -> BaseException:
        """Make the error for a call that ran out of time."""
        ...

    def drop_reply(self, caller: Caller) -> None:
        """Count a reply that nobody waits for."""
        ...

    def settle(self) -> None:
        """Count a call that got its answer."""
        ...

    def discard_alarm(self) -> None:
        """Learn that a call ended without an answer, before its deadline."""
        ...

    def drop(self, message: object, cause: str) -> None:
        """Tell of a message that nobody will read."""
        ...

    async def wait_exit(self) -> ExitReason:
        """Wait for the death of the actor."""
        ...


class Ref:
    """Send to one actor, dead or alive; it never becomes the address of another.

    References are compared by identity: an actor has one.

    Owner: anybody, on the trio thread of the system.
    """

    __slots__ = ("__weakref__", "_target", "name", "pid")

    def __init__(self, target: Target, *, pid: int, name: str) -> None:
        """Made by the system when the actor starts."""
        self._target = target
        self.pid = pid
        self.name = name

    def __repr__(self) -> str:
        """Show name and number."""
        return f"<{self.name}#{self.pid}>"

    @property
    def is_alive(self) -> bool:
        """Whether the actor has not ended yet."""
        return self._target.exit_reason is None

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why the actor ended; ``None`` while it lives."""
        return self._target.exit_reason

    @overload
    async def call(self, message: Call[R], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> R: ...
    @overload
    async def call(self, message: object, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> object: ...

    async def call(self, message: object, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> object:
        """Send a request and wait for its reply.

        ``timeout_s`` covers everything: waiting for room in the mailbox, the queue, and the work. When it
        passes, or the caller is cancelled, a message already queued is still handled; its reply is dropped.

        Args:
            message: A frozen value of the callee's call union.
            timeout_s: Seconds; ``math.inf`` to rely on cancellation alone.

        Raises:
            CallTimeout: No reply in time.
            ActorExited: The callee died before it replied, or was dead.
            CallingSelf: The callee is the actor that calls.
            Exception: Whatever the callee gave to ``Caller.reply_error``.

        Cost: about 10 us for a round trip.
        """
        target = self._target
        if target.exit_reason is not None:
            await trio.lowlevel.checkpoint()
            raise ActorExited(ref=self, reason=NoProcess())
        task = trio.lowlevel.current_task()
        if task is target.task:
            raise CallingSelf(ref=self)
        await trio.lowlevel.checkpoint_if_cancelled()
        caller = Caller(target, task, message, timeout_s)
        target.outstanding[caller] = None
        item = (CALL, message, caller)
        if not target.mailbox.offer(item):
            target.mailbox.wait_for_room(caller, item)
        target.timers.set(trio.current_time() + timeout_s, caller)
        return await caller.wait()

    async def system_call(
        self, request: Callable[[object], object], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> object:
        """Have ``request(process)`` computed by the actor between two messages; see ``introspection``.

        In order with messages, never refused for want of room, and served while the actor is suspended.
        """
        target, task = await self._reach()
        caller = Caller(target, task, request, timeout_s)
        target.outstanding[caller] = None
        target.mailbox.post((SYSTEM, request, caller))
        target.timers.set(trio.current_time() + timeout_s, caller)
        return await caller.wait()

    async def cast(self, message: object) -> None:
        """Send a message without a reply; wait for room if the mailbox is full.

        The actor itself never waits: its own casts are admitted beyond the capacity. A dead actor's mail
        is dropped and told as an event.

        Cost: a checkpoint, and the handler's work in the actor's own task.
        """
        if self._try_cast(message):
            await trio.lowlevel.checkpoint()
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        mailbox = self._target.mailbox
        mailbox.wait_for_room(task, (CAST, message, None))

        def withdraw(_raise_cancel: object) -> trio.lowlevel.Abort:
            mailbox.withdraw(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(withdraw)

    def cast_nowait(self, message: object) -> None:
        """Send a message without a reply, now.

        Raises:
            MailboxFull: There is no room, and the actor's overflow policy is ``"refuse"``.
        """
        if not self._try_cast(message):
            raise MailboxFull(ref=self, capacity=self._target.mailbox.capacity)

    def info_nowait(self, message: object) -> None:
        """Deliver a notice to ``handle_info``: never refused, not counted in the capacity.

        For sources that are themselves bounded, such as a timer or a device thread (which calls this
        through ``TrioToken.run_sync_soon``).
        """
        target = self._target
        if target.exit_reason is not None:
            target.drop(message, "dead")
            return
        target.mailbox.post((INFO, message, None))

    async def stop(self, reason: ExitReason | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Ask the actor to end after the messages before this one, and wait until it is dead.

        ``terminate(reason)`` runs. The default reason is ``Normal()``.

        Raises:
            ActorExited: It was dead already.
            CallTimeout: It is not dead in time; it goes on ending.
            CallingSelf: An actor ends itself by returning ``Stop``.
        """
        target, _task = await self._reach()
        target.mailbox.post((STOP, reason or Normal(), None))
        with trio.move_on_after(timeout_s) if timeout_s < math.inf else trio.CancelScope():
            await target.wait_exit()
        if target.exit_reason is None:
            raise CallTimeout(ref=self, timeout_s=timeout_s)

    async def _reach(self) -> tuple[Target, trio.lowlevel.Task]:
        target = self._target
        if target.exit_reason is not None:
            await trio.lowlevel.checkpoint()
            raise ActorExited(ref=self, reason=NoProcess())
        task = trio.lowlevel.current_task()
        if task is target.task:
            raise CallingSelf(ref=self)
        await trio.lowlevel.checkpoint_if_cancelled()
        return target, task

    def _try_cast(self, message: object) -> bool:
        target = self._target
        if target.exit_reason is not None:
            target.drop(message, "dead")
            return True
        item = (CAST, message, None)
        return target.mailbox.offer(item) or self._overflow(item)

    def _overflow(self, item: Item) -> bool:
        target = self._target
        if target.task is not None and trio.lowlevel.current_task() is target.task:
            target.mailbox.put(item)  # only the actor itself can make room: waiting would be for ever
            return True
        if target.overflow == "refuse":
            return False
        dropped = target.mailbox.drop_oldest_cast() if target.overflow == "drop_old" else None
        if dropped is not None:
            target.mailbox.put(item)
        target.drop((dropped or item)[1], "overflow")
        return True
