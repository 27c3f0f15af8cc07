"""One call, seen from the callee: a one-shot reply slot."""

from __future__ import annotations

from typing import Protocol

import trio

__all__ = ["Caller"]

_WAITING, _REPLIED, _FAILED, _GONE = range(4)


class Desk(Protocol):
    """What a pending call knows of the mailbox that it was sent to."""

    outstanding: dict[Caller, None]

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


class Caller:
    """Who called, and where the reply goes.

    An actor may keep it and reply later, once, from any task on the trio thread. A second reply, and a
    reply to a caller that has gone, is dropped and counted; it never raises and never waits.

    Owner: the callee, until it has replied.
    """

    __slots__ = ("_desk", "_error", "_state", "_task", "_timeout_s", "_value", "message")

    def __init__(self, desk: Desk, task: trio.lowlevel.Task, message: object, timeout_s: float) -> None:
        """Made by ``Ref.call``."""
        self._desk = desk
        self._task = task
        self._state = _WAITING
        self._value: object = None
        self._error: BaseException | None = None
        self.message = message
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        """Show the call and whether it is answered."""
        state = ("waiting", "replied", "failed", "gone")[self._state]
        return f"<Caller {self.message!r} {state}>"

    @property
    def is_waiting(self) -> bool:
        """Whether a reply would still reach anybody."""
        return self._state == _WAITING

    @property
    def is_armed(self) -> bool:
        """Whether the deadline of the call still means something."""
        return self._state == _WAITING

    def reply(self, value: object) -> None:
        """Answer the call with ``value``."""
        if self._state != _WAITING:
            self._desk.drop_reply(self)
            return
        self._state = _REPLIED
        self._value = value
        desk = self._desk
        del desk.outstanding[self]
        desk.settle()
        trio.lowlevel.reschedule(self._task)

    def reply_error(self, exc: BaseException) -> None:
        """Answer the call by raising ``exc`` in the caller; the callee lives on."""
        if self._state != _WAITING:
            self._desk.drop_reply(self)
            return
        self._desk.settle()
        self._fail(_FAILED, exc)

    def exit(self, exc: BaseException) -> None:
        """The callee is dead: raise ``exc`` in the caller, who is still waiting."""
        self._desk.discard_alarm()
        self._fail(_FAILED, exc)

    def fire(self) -> None:
        """The deadline has passed, and the caller is still waiting: raise there and nowhere else."""
        self._desk.withdraw(self)
        self._fail(_GONE, self._desk.timeout_error(self._timeout_s))

    async def wait(self) -> object:
        """Wait, as the calling task, for the reply; called once."""
        await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the traceback holds this frame: break the cycle
        value, self._value = self._value, None
        return value

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        desk = self._desk
        desk.withdraw(self)
        desk.discard_alarm()
        self._state = _GONE
        desk.outstanding.pop(self, None)
        return trio.lowlevel.Abort.SUCCEEDED

    def _fail(self, state: int, exc: BaseException) -> None:
        self._state = state
        self._error = exc
        self._desk.outstanding.pop(self, None)
        trio.lowlevel.reschedule(self._task)
