"""Naive models that the real thing must agree with: slow, plain, and short enough to be believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from attrs import frozen

__all__ = ["Op", "count_in_window", "is_linearizable"]

S = TypeVar("S")
Q = TypeVar("Q")


@frozen(kw_only=True)
class Op(Generic[Q]):
    """One operation of one client, as the client saw it.

    ``returned_at`` is infinite and ``is_certain`` false when the client never learned the outcome (timeout,
    cancellation, death of the callee): the operation was applied once, at any time after ``invoked_at``, or
    never. A cast is certain, but its effect may come at any time after it, so that ``returned_at`` is
    infinite too.
    """

    client: int
    request: Q
    response: object = None
    invoked_at: int
    returned_at: float = math.inf
    is_certain: bool = True


def is_linearizable(
    history: Sequence[Op[Q]], *, initial: S, apply: Callable[[S, Q], tuple[S, object]], casts: frozenset[type]
) -> bool:
    """Tell whether some order of the operations explains every response.

    The order must respect real time (an operation that returned before another was invoked comes first) and
    each client's own order, because a server handles the messages of one sender in the order sent.

    Args:
        history: The operations; up to a dozen that overlap are cheap.
        initial: The first state of the model; states are hashable.
        apply: The model: state and request to state and response.
        casts: The types of requests that have no response.

    Source: Wing and Gong, "Testing and verifying concurrent objects", 1993, with Lowe's memo of (done,
        state).
    """
    ops = list(history)
    failed: set[tuple[frozenset[int], S]] = set()

    def search(left: frozenset[int], state: S) -> bool:
        if not any(ops[i].is_certain for i in left):
            return True
        if (left, state) in failed:
            return False
        first_return = min((ops[i].returned_at for i in left), default=math.inf)
        for i in left:
            op = ops[i]
            if op.invoked_at > first_return or not _is_in_turn(ops, left, i):
                continue
            following, response = apply(state, op.request)
            explains = not op.is_certain or type(op.request) in casts or response == op.response
            if explains and search(left - {i}, following):
                return True
        failed.add((left, state))
        return False

    return search(frozenset(range(len(ops))), initial)


def _is_in_turn(ops: Sequence[Op[Q]], left: frozenset[int], index: int) -> bool:
    """Tell whether the client's own order allows this operation next: no elder left, no younger done."""
    op = ops[index]
    for i, other in enumerate(ops):
        if other.client != op.client or i == index:
            continue
        is_elder = other.invoked_at < op.invoked_at
        if is_elder and i in left and other.is_certain:
            return False
        if not is_elder and i not in left:
            return False
    return True


def count_in_window(restarts_at: Sequence[float], *, now: float, period_s: float) -> int:
    """Count restarts not older than the period, both ends included."""
    return sum(1 for at in restarts_at if now - period_s <= at <= now)
