"""Several conversations side by side, as one value."""

from __future__ import annotations

from collections.abc import Container

from attrs import evolve, frozen

from actorllama.cli.console.talk import Talk
from actorllama.errors import RequestError

__all__ = ["Session", "free_name"]


@frozen(kw_only=True)
class Session:
    """The conversations of one console; there is always at least one, and one is current."""

    talks: tuple[Talk, ...]
    current: str

    @classmethod
    def of(cls, talk: Talk) -> Session:
        """Begin with one conversation."""
        return cls(talks=(talk,), current=talk.name)

    @property
    def talk(self) -> Talk:
        """The one that is spoken to."""
        return self.find(self.current)

    @property
    def names(self) -> tuple[str, ...]:
        """All, in the order in which they began."""
        return tuple(talk.name for talk in self.talks)

    def find(self, name: str) -> Talk:
        """Give the conversation of this name.

        Raises:
            RequestError: There is none.
        """
        for talk in self.talks:
            if talk.name == name:
                return talk
        raise RequestError(field="conversation", value=name, reason=f"there are {', '.join(self.names)}")

    def switched(self, name: str) -> Session:
        """Speak to another one."""
        return evolve(self, current=self.find(name).name)

    def with_talk(self, talk: Talk) -> Session:
        """Put a conversation in the place of the one with its name, or beside the others; speak to it."""
        if talk.name not in self.names:
            return evolve(self, talks=(*self.talks, talk), current=talk.name)
        talks = tuple(talk if talk.name == old.name else old for old in self.talks)
        return evolve(self, talks=talks, current=talk.name)

    def renamed(self, old: str, talk: Talk) -> Session:
        """Put a conversation in the place of another, under its own name; speak to it."""
        kept = tuple(one for one in self.talks if one.name != talk.name or one.name == old)
        talks = tuple(talk if one.name == old else one for one in kept)
        return evolve(self, talks=talks, current=talk.name)


def free_name(taken: Container[str], *, stem: str = "chat") -> str:
    """Find the first of ``chat-1``, ``chat-2``, ... that nobody has."""
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
