"""The supervision tree as a value, and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import trio
from attrs import frozen

from actorllama.actors.child import Child
from actorllama.actors.overseer import Overseer
from actorllama.actors.process import Process

__all__ = ["TreeNode", "format_tree", "plant"]


@frozen(kw_only=True)
class TreeNode:
    """One actor, or a child that is not running, seen from outside and at once.

    ``phase`` is ``starting``, ``running``, ``suspended``, ``stopping``, ``restarting`` or ``stopped``;
    ``state`` names the state of a state machine. ``n_waiting`` senders wait for room in the mailbox, they
    are counted in ``n_queued`` too. ``current`` is the type of the message in service.
    """

    id: str
    pid: int | None
    kind: str
    phase: str
    state: str
    n_queued: int
    n_waiting: int
    n_messages: int
    age_s: float
    n_restarts: int
    current: str
    children: tuple[TreeNode, ...]


def plant(roots: Iterable[Process]) -> tuple[TreeNode, ...]:
    """Look at processes and all that is below them."""
    now_s = trio.current_time()
    return tuple(_node(process, process.ref.name, 0, now_s) for process in roots)


def format_tree(nodes: Sequence[TreeNode], *, indent: str = "") -> str:
    """Write a tree for a terminal, one actor per line."""
    lines: list[str] = []
    for index, node in enumerate(nodes):
        is_last = index == len(nodes) - 1
        lines.append(f"{indent}{'└─ ' if is_last else '├─ '}{_line(node)}\n")
        lines.append(format_tree(node.children, indent=indent + ("   " if is_last else "│  ")))
    return "".join(lines)


def _node(process: Process, id_: str, n_restarts: int, now_s: float) -> TreeNode:
    actor = process.actor
    if isinstance(actor, Overseer):
        known = {child.process: child for child in actor.children if child.process is not None}
        children = [_child(child, now_s) for child in actor.children]
        children.extend(
            _node(child, child.ref.name, 0, now_s) for child in process.children if child not in known
        )
    else:
        children = [_node(child, child.ref.name, 0, now_s) for child in process.children]
    return TreeNode(
        id=id_,
        pid=process.pid,
        kind=process.kind,
        phase=process.phase,
        state="" if actor is None else actor.describe_state(),
        n_queued=len(process.mailbox),
        n_waiting=process.mailbox.n_waiting,
        n_messages=process.n_messages,
        age_s=now_s - process.born_s,
        n_restarts=n_restarts,
        current="" if process.current is None else type(process.current).__name__,
        children=tuple(children),
    )


def _child(child: Child, now_s: float) -> TreeNode:
    if child.process is not None and child.process.exit_reason is None:
        return _node(child.process, child.spec.id, child.n_restarts, now_s)
    return TreeNode(
        id=child.spec.id,
        pid=None,
        kind=child.spec.type,
        phase="restarting" if child.state == "running" else child.state,
        state="",
        n_queued=0,
        n_waiting=0,
        n_messages=0,
        age_s=0.0,
        n_restarts=child.n_restarts,
        current="",
        children=(),
    )


def _line(node: TreeNode) -> str:
    pid = "" if node.pid is None else f"#{node.pid}"
    words = [f"{node.id}{pid}", node.kind, node.phase]
    if node.state:
        words.append(f"state={node.state}")
    if node.n_queued:
        words.append(f"queued={node.n_queued}")
    if node.current:
        words.append(f"current={node.current}")
    if node.n_restarts:
        words.append(f"restarts={node.n_restarts}")
    if node.pid is not None:
        words.append(f"age={node.age_s:.1f}s")
    return "  ".join(words)
