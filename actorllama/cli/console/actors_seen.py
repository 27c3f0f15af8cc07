"""Reading a supervision tree: who is meant by a word, whose child somebody is, all in one list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actorllama.actors import Ref, System, TreeNode
from actorllama.errors import ActorNotFound, RequestError

__all__ = ["find_actor", "flat", "parent_of"]


def find_actor(system: System, word: str) -> Ref:
    """Find a live actor by its name, by ``#7`` or ``7``, or by the only name that begins so.

    Raises:
        RequestError: No word was given, or several actors are meant.
        ActorNotFound: There is none.
    """
    if not word:
        raise RequestError(field="actor", value=word, reason="name one: /tree shows them, Tab completes")
    refs = system.refs()
    number = word.removeprefix("#")
    for ref in refs:
        if ref.name == word or str(ref.pid) == number:
            return ref
    near = [ref for ref in refs if ref.name.startswith(word)]
    if len(near) > 1:
        raise RequestError(field="actor", value=word, reason=f"that is {', '.join(map(repr, near))}")
    if not near:
        raise ActorNotFound(name=word)
    return near[0]


def flat(nodes: Sequence[TreeNode]) -> Iterator[TreeNode]:
    """Give every node of a tree that is an actor, parents first."""
    for node in nodes:
        if node.pid is not None:
            yield node
        yield from flat(node.children)


def parent_of(nodes: Sequence[TreeNode], pid: int) -> int | None:
    """Find the pid of whoever looks after an actor; ``None`` if nobody does."""
    for node in flat(nodes):
        if any(child.pid == pid for child in node.children):
            return node.pid
    return None
