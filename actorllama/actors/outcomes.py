"""What callbacks return: values that say what happens next."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from actorllama.actors.reason import ExitReason
from actorllama.actors.reply import Caller

__all__ = [
    "NOTHING",
    "Halt",
    "Ignore",
    "InitOutcome",
    "NoReply",
    "Nothing",
    "Outcome",
    "Ready",
    "Refuse",
    "Reply",
    "Stop",
    "StopReply",
]


@frozen
class Nothing:
    """No continuation: ``None`` is a term like any other."""


NOTHING = Nothing()


@frozen
class Ready:
    """``init`` succeeded; ``handle_continue(continue_with)`` runs before any message is taken."""

    continue_with: object = NOTHING


@frozen
class Ignore:
    """There is nothing to do here: not a failure. The actor ends as ``Normal``."""


@frozen
class Refuse:
    """``init`` cannot succeed; whoever starts the actor gets ``StartRefused(reason=...)``."""

    reason: object


@frozen
class Reply:
    """Answer the call and go on."""

    value: object = None
    continue_with: object = field(default=NOTHING, kw_only=True)


@frozen
class NoReply:
    """Go on; a call is answered later, through its ``Caller``.

    With ``idle_timeout_s``, ``handle_info(IdleTimeout())`` runs if no message comes in that time.
    """

    continue_with: object = field(default=NOTHING, kw_only=True)
    idle_timeout_s: float | None = field(default=None, kw_only=True)


@frozen
class Stop:
    """Run ``terminate``, then end for this reason. A call in service fails with it."""

    reason: ExitReason


@frozen
class StopReply:
    """Run ``terminate``, then answer the call, then end for this reason."""

    reason: ExitReason
    value: object = None


@frozen
class IdleTimeout:
    """No message came for ``NoReply.idle_timeout_s``."""


InitOutcome: TypeAlias = Ready | Ignore | Refuse
Outcome: TypeAlias = Reply | NoReply | Stop | StopReply


@frozen
class Halt:
    """What the loop is told at the end: why, and the replies owed after ``terminate``."""

    reason: ExitReason
    replies: tuple[tuple[Caller, object], ...] = ()
