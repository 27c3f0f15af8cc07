"""What one may ask of a supervisor, and what it answers."""

from __future__ import annotations

import math
from typing import Literal

from attrs import frozen

from actorllama.actors.call import Call
from actorllama.actors.ref import Ref
from actorllama.actors.spec import ChildSpec

__all__ = [
    "ChildCounts",
    "ChildInfo",
    "CountChildren",
    "DeleteChild",
    "RestartChild",
    "StartChild",
    "TerminateChild",
    "WhichChildren",
    "count_children",
    "delete_child",
    "restart_child",
    "start_child",
    "terminate_child",
    "which_children",
]


@frozen(kw_only=True)
class ChildInfo:
    """One child as its supervisor sees it; ``ref`` is ``None`` unless it is running."""

    id: str
    ref: Ref | None
    state: Literal["running", "restarting", "stopped"]
    type: Literal["worker", "supervisor"]


@frozen(kw_only=True)
class ChildCounts:
    """How many children are known, alive, supervisors, workers."""

    specs: int
    active: int
    supervisors: int
    workers: int


@frozen
class StartChild(Call[Ref]):
    """Add a child and start it."""

    spec: ChildSpec


@frozen
class TerminateChild(Call[None]):
    """Stop a child: by id, or by reference in a dynamic supervisor."""

    child: str | Ref


@frozen
class RestartChild(Call[Ref]):
    """Start a stopped child again."""

    child: str


@frozen
class DeleteChild(Call[None]):
    """Forget a stopped child."""

    child: str


@frozen
class WhichChildren(Call[tuple[ChildInfo, ...]]):
    """List the children, last started first."""


@frozen
class CountChildren(Call[ChildCounts]):
    """Count the children."""


async def start_child(supervisor: Ref, spec: ChildSpec, *, timeout_s: float = math.inf) -> Ref:
    """Add a child to a supervisor and start it; a child that fails to start leaves no trace.

    Waits for the child's ``init``, and so does everybody else who asks the supervisor something
    meanwhile: slow work belongs into ``Ready(continue_with=...)``. By default without a deadline, as in
    OTP, for a caller that gives up does not undo the start.

    Raises:
        ChildConflict: The id is known: ``already_started`` or ``already_present``.
        TooManyChildren: The dynamic supervisor is full.
        StartRefused: ``init`` did not succeed.
        NameTaken: The child's name has a live holder.
    """
    return await supervisor.call(StartChild(spec), timeout_s=timeout_s)


async def terminate_child(supervisor: Ref, child: str | Ref, *, timeout_s: float = math.inf) -> None:
    """Stop a child within its grace; also ends its being restarted. The spec stays, unless temporary.

    Raises:
        ChildNotFound: No such id. A dead reference is fine.
        ChildConflict: ``by_id_only`` or ``by_ref_only``, where the supervisor knows only the other.
    """
    await supervisor.call(TerminateChild(child), timeout_s=timeout_s)


async def restart_child(supervisor: Ref, child: str, *, timeout_s: float = math.inf) -> Ref:
    """Start a stopped child again.

    Raises:
        ChildNotFound: No such id.
        ChildConflict: ``running`` or ``restarting``.
        StartRefused: ``init`` did not succeed; the child stays stopped.
    """
    return await supervisor.call(RestartChild(child), timeout_s=timeout_s)


async def delete_child(supervisor: Ref, child: str, *, timeout_s: float = math.inf) -> None:
    """Forget a stopped child.

    Raises:
        ChildNotFound: No such id.
        ChildConflict: ``running`` or ``restarting``.
    """
    await supervisor.call(DeleteChild(child), timeout_s=timeout_s)


async def which_children(supervisor: Ref, *, timeout_s: float = math.inf) -> tuple[ChildInfo, ...]:
    """List the children of a supervisor, last started first."""
    return await supervisor.call(WhichChildren(), timeout_s=timeout_s)


async def count_children(supervisor: Ref, *, timeout_s: float = math.inf) -> ChildCounts:
    """Count the children of a supervisor."""
    return await supervisor.call(CountChildren(), timeout_s=timeout_s)
