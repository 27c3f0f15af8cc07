"""Named groups of actors: pg."""

from __future__ import annotations

from collections.abc import Hashable

from actorllama.actors.ref import Ref
from actorllama.errors import ActorNotFound, NotJoined

__all__ = ["Groups"]


class Groups:
    """Who belongs together: an actor that joined twice is listed twice and leaves once at a time.

    Members are in the order in which they joined. The dead are in no group.

    Owner: the system that it belongs to, which calls :meth:`forget` at each death. Synchronous.
    """

    __slots__ = ("_groups_of", "_members")

    def __init__(self) -> None:
        """Make it without groups. Use ``system.make_groups`` to have one that hears of deaths."""
        self._members: dict[Hashable, list[Ref]] = {}
        self._groups_of: dict[Ref, dict[Hashable, None]] = {}

    def join(self, group: Hashable, ref: Ref) -> None:
        """Become a member, once more if it is one.

        Raises:
            ActorNotFound: The actor is dead.
        """
        if not ref.is_alive:
            raise ActorNotFound(name=repr(ref))
        self._members.setdefault(group, []).append(ref)
        self._groups_of.setdefault(ref, {})[group] = None

    def leave(self, group: Hashable, ref: Ref) -> None:
        """Take one membership back.

        Raises:
            NotJoined: It is no member.
        """
        members = self._members.get(group, [])
        if ref not in members:
            raise NotJoined(group=str(group), ref=ref)
        members.remove(ref)
        if ref not in members:
            self._groups_of[ref].pop(group)
        if not members:
            del self._members[group]

    def members(self, group: Hashable) -> tuple[Ref, ...]:
        """List the members, one entry for each join; empty for an unknown group."""
        return tuple(self._members.get(group, ()))

    def which_groups(self) -> tuple[Hashable, ...]:
        """List the groups that have members."""
        return tuple(self._members)

    def groups_of(self, ref: Ref) -> tuple[Hashable, ...]:
        """List the groups of an actor, each once."""
        return tuple(self._groups_of.get(ref, ()))

    def forget(self, ref: Ref) -> None:
        """Take back all memberships of an actor."""
        for group in self._groups_of.pop(ref, ()):
            members = [member for member in self._members[group] if member is not ref]
            if members:
                self._members[group] = members
            else:
                del self._members[group]
