"""Why an actor ended: a small frozen union, named as in OTP."""

from __future__ import annotations

from typing import TypeAlias, cast, overload

from attrs import frozen

__all__ = [
    "ActorExit",
    "Crash",
    "ExitReason",
    "Killed",
    "NoProcess",
    "Normal",
    "Shutdown",
    "flatten",
    "is_normal",
]


@frozen
class Normal:
    """The actor was done."""

    def __str__(self) -> str:
        """Name the reason."""
        return "normal"


@frozen
class Shutdown:
    """The actor was asked to stop, or stopped in an orderly way for the reason in ``term``."""

    term: object = None

    def __str__(self) -> str:
        """Name the reason and its term."""
        return "shutdown" if self.term is None else f"shutdown ({self.term})"


@frozen
class Killed:
    """The actor was killed: nothing of its own ran afterwards. ``why`` says who wanted it."""

    why: str = ""

    def __str__(self) -> str:
        """Name the reason and who wanted it."""
        return f"killed ({self.why})" if self.why else "killed"


@frozen
class Crash:
    """An exception left a callback; the state of the actor was in doubt."""

    exc: BaseException

    def __str__(self) -> str:
        """Show the exception on one line."""
        return f"crash ({self.exc!r})"


@frozen
class NoProcess:
    """There was no such actor, or it was dead already."""

    def __str__(self) -> str:
        """Name the reason."""
        return "no such process"


ExitReason: TypeAlias = Normal | Shutdown | Killed | Crash | NoProcess


class ActorExit(Exception):
    """Raise this in a callback to end the actor with ``reason``: Erlang's ``exit(Reason)``.

    ``terminate`` still runs.
    """

    def __init__(self, reason: ExitReason) -> None:
        """Keep the reason."""
        self.reason = reason
        super().__init__(str(reason))


def is_normal(reason: ExitReason) -> bool:
    """Say whether a transient child that ended so is left alone (rule P2)."""
    return isinstance(reason, Normal | Shutdown)


@overload
def flatten(exc: Exception) -> Exception: ...
@overload
def flatten(exc: BaseException) -> BaseException: ...


def flatten(exc: BaseException) -> BaseException:
    """Unwrap exception groups that hold a single exception, so that reasons name the cause."""
    if not isinstance(exc, BaseExceptionGroup):
        return exc
    group = cast("BaseExceptionGroup[BaseException]", exc)
    return flatten(group.exceptions[0]) if len(group.exceptions) == 1 else group


def reason_of(exc: Exception) -> ExitReason:
    """Turn what left a callback into the exit reason that it means."""
    exc = flatten(exc)
    return exc.reason if isinstance(exc, ActorExit) else Crash(exc)


def is_interrupt(exc: BaseException) -> bool:
    """Say whether this is, or holds, a Ctrl-C or SystemExit."""
    if isinstance(exc, BaseExceptionGroup):
        return any(is_interrupt(inner) for inner in cast("BaseExceptionGroup[BaseException]", exc).exceptions)
    return isinstance(exc, KeyboardInterrupt | SystemExit)
