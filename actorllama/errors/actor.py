"""Errors of the actor kernel: an actor could not be reached, started, or asked."""

from __future__ import annotations

from actorllama.errors.base import ActorLlamaError, short

__all__ = [
    "ActorError",
    "ActorExited",
    "ActorNotFound",
    "BadReturn",
    "BadTransition",
    "CallTimeout",
    "CallingSelf",
    "ChildConflict",
    "ChildNotFound",
    "MailboxFull",
    "NameTaken",
    "NotJoined",
    "RestartIntensityReached",
    "StartRefused",
    "TooManyChildren",
]


class ActorError(ActorLlamaError):
    """An actor could not be reached, started, or asked."""


class ActorNotFound(ActorError, LookupError):
    """No live actor has this name."""

    def __init__(self, *, name: str) -> None:
        """Name the missing actor."""
        self.name = name
        super().__init__(f"no actor is registered as {name!r}. Start it, or look at system.tree().")


class NameTaken(ActorError):
    """Another live actor already has this name."""

    def __init__(self, *, name: str, ref: object = None) -> None:
        """Name the holder."""
        self.name = name
        self.ref = ref
        super().__init__(f"the name {name!r} is held by {ref!r}. Use that actor, or stop it first.")


class MailboxFull(ActorError):
    """A ``_nowait`` send found no room."""

    def __init__(self, *, ref: object, capacity: int) -> None:
        """Name the receiver and its bound."""
        self.ref = ref
        self.capacity = capacity
        super().__init__(f"the mailbox of {ref!r} holds {capacity} messages. Await cast(), or slow down.")


class ActorExited(ActorError):
    """The callee died before it replied, or was dead already."""

    def __init__(self, *, ref: object, reason: object) -> None:
        """Name the callee and its exit reason."""
        self.ref = ref
        self.reason = reason
        super().__init__(f"{ref!r} exited before it replied: {reason}. Its supervisor decides on a restart.")


class StartRefused(ActorError):
    """An actor's ``init`` refused, raised, or ran out of time."""

    def __init__(self, *, child: str, reason: object) -> None:
        """Name the child and the reason that it gave."""
        self.child = child
        self.reason = reason
        super().__init__(f"{child} did not start: {reason}. Mend the cause and start it again.")


class CallingSelf(ActorError):
    """An actor called itself, which could only deadlock."""

    def __init__(self, *, ref: object) -> None:
        """Name the actor."""
        self.ref = ref
        super().__init__(f"{ref!r} called itself. Call the method directly, or cast to yourself.")


class CallTimeout(ActorError, TimeoutError):
    """No reply came in time; the callee goes on, its late reply is dropped."""

    def __init__(self, *, ref: object, timeout_s: float) -> None:
        """Name the callee and the deadline."""
        self.ref = ref
        self.timeout_s = timeout_s
        super().__init__(
            f"{ref!r} did not reply within {timeout_s} s. Raise timeout_s, or look at its mailbox."
        )


class BadReturn(ActorError):
    """A callback returned what it may not return; the actor crashes with this."""

    def __init__(self, *, callback: str, value: object) -> None:
        """Name the callback and what it returned."""
        self.callback = callback
        self.value = value
        super().__init__(f"{callback} returned {short(value)}. Return one of the outcomes that it declares.")


class BadTransition(ActorError):
    """A state machine made a change that its table does not list; it crashes with this."""

    def __init__(self, *, machine: str, source: str, event: str, target: str) -> None:
        """Name the change."""
        self.machine = machine
        self.source = source
        self.event = event
        self.target = target
        super().__init__(
            f"{machine} went from {source} to {target} on {event}, which its table does not allow. "
            "Mend the handler, or add the arrow."
        )


class ChildConflict(ActorError):
    """A supervisor's child is not in the state that the request needs."""

    def __init__(self, *, child: str, state: str, ref: object = None) -> None:
        """Name the child and what OTP calls its state: ``already_started``, ``running``, ..."""
        self.child = child
        self.state = state
        self.ref = ref
        super().__init__(
            f"child {child!r}: {state}. Look at which_children(), then terminate or delete it first."
        )


class ChildNotFound(ActorError, LookupError):
    """A supervisor has no such child."""

    def __init__(self, *, child: str) -> None:
        """Name the child."""
        self.child = child
        super().__init__(f"no child {child!r} here. Look at which_children().")


class TooManyChildren(ActorError):
    """A dynamic supervisor has as many children as it may."""

    def __init__(self, *, n_children: int, max_children: int) -> None:
        """Give both numbers."""
        self.n_children = n_children
        self.max_children = max_children
        super().__init__(
            f"{n_children} of at most {max_children} children run. Stop one, or raise max_children."
        )


class NotJoined(ActorError, LookupError):
    """An actor left a group that it is not in."""

    def __init__(self, *, group: str, ref: object) -> None:
        """Name the group and the actor."""
        self.group = group
        self.ref = ref
        super().__init__(f"{ref!r} is not in group {group!r}. Join it first.")


class RestartIntensityReached(ActorError):
    """A child died more often than its supervisor tolerates."""

    def __init__(self, *, child: str, n_restarts: int, period_s: float) -> None:
        """Name the child and the window."""
        self.child = child
        self.n_restarts = n_restarts
        self.period_s = period_s
        super().__init__(
            f"{child} needed more than {n_restarts} restarts in {period_s} s. "
            "Look at the first crash in the log; the supervisor has stopped."
        )
