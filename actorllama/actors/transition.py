"""What a state machine is told about an event, and what it says to do next."""

from __future__ import annotations

from typing import Generic, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from actorllama.actors.outcomes import Ignore, Refuse, Stop
from actorllama.actors.reason import ExitReason
from actorllama.actors.reply import Caller

__all__ = [
    "Action",
    "Begin",
    "CancelTimeout",
    "EnterAction",
    "EventTimeout",
    "Keep",
    "MachineInit",
    "MachineOutcome",
    "NamedTimeout",
    "NextEvent",
    "PostPone",
    "Repeat",
    "ReplyTo",
    "Source",
    "StateTimeout",
    "StopAndReply",
    "Transition",
]

StateT = TypeVar("StateT")


@frozen(kw_only=True)
class Source:
    """Where an event came from.

    Attributes:
        kind: ``call``, ``cast``, ``info``, ``internal`` (a `NextEvent`), ``state_timeout``, ``timeout``
            (a `NamedTimeout`) or ``event_timeout``.
        caller: Who waits for a reply, for a call.
        name: Which timeout it was, for a named one.
    """

    kind: Literal["call", "cast", "info", "internal", "state_timeout", "timeout", "event_timeout"]
    caller: Caller | None = None
    name: str | None = None


@frozen
class PostPone:
    """Take this event again after the next change of state, before all newer ones."""


@frozen
class ReplyTo:
    """Answer a call now. A ``None`` caller is allowed, so that one handler serves calls and casts."""

    caller: Caller | None
    value: object = None


@frozen
class NextEvent:
    """Handle this event next, before postponed and queued ones."""

    event: object


@frozen
class StateTimeout:
    """Deliver ``event`` after ``delay_s`` unless the state changes before; setting it again replaces it."""

    delay_s: float
    event: object


@frozen
class NamedTimeout:
    """Deliver ``event`` after ``delay_s``, whatever the state is then; one per name."""

    name: str
    delay_s: float
    event: object


@frozen
class EventTimeout:
    """Deliver ``event`` if no message or `NextEvent` comes within ``delay_s``. Prefer the other two.

    As recorded on OTP 25, other timeouts that run out do not cancel it.
    """

    delay_s: float
    event: object


@frozen
class CancelTimeout:
    """Cancel a named timeout, or without a name the state timeout. An expiry already queued goes too."""

    name: str | None = None


EnterAction: TypeAlias = ReplyTo | StateTimeout | NamedTimeout | EventTimeout | CancelTimeout
Action: TypeAlias = EnterAction | PostPone | NextEvent


@frozen
class Begin(Generic[StateT]):
    """``init`` succeeded: the first state, and actions such as a `NextEvent` for slow work."""

    state: StateT
    actions: tuple[EnterAction | NextEvent, ...] = field(default=(), kw_only=True)


@frozen
class Transition(Generic[StateT]):
    """Go to a state. The same state again is no change: nothing postponed is replayed."""

    next_state: StateT
    actions: tuple[Action, ...] = field(default=(), kw_only=True)


@frozen
class Keep:
    """Stay in the state."""

    actions: tuple[Action, ...] = field(default=(), kw_only=True)


@frozen
class Repeat:
    """Stay in the state, and enter it again."""

    actions: tuple[Action, ...] = field(default=(), kw_only=True)


@frozen
class StopAndReply:
    """Send the replies, run ``terminate``, end."""

    reason: ExitReason
    replies: tuple[ReplyTo, ...] = ()


MachineInit: TypeAlias = Begin[StateT] | Ignore | Refuse
MachineOutcome: TypeAlias = Transition[StateT] | Keep | Repeat | Stop | StopAndReply
