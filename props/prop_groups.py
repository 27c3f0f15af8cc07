"""Names and groups against plain lists; the dead are in none."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors import Groups, Ref, Registry, Server, System, open_system
from actorllama.errors import ActorNotFound, NameTaken, NotJoined
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules

Verb: TypeAlias = Literal["register", "unregister", "join", "leave", "kill"]
Keys: TypeAlias = Literal["unique", "duplicate"]
VERBS: tuple[Verb, ...] = ("register", "unregister", "join", "leave", "join", "register", "kill")
KEYS: tuple[Keys, ...] = ("unique", "duplicate")


@frozen
class Step:
    verb: Verb
    key: str
    who: int


STEPS = st.lists(
    st.builds(Step, st.sampled_from(VERBS), st.sampled_from("xy"), st.integers(0, 2)), min_size=3, max_size=15
)


class Nobody(Server[object, object, object]):
    """Lives."""


@define(kw_only=True)
class Lists:
    """Does to the real thing and to lists the same."""

    system: System
    registry: Registry
    groups: Groups
    refs: list[Ref]
    entries: list[tuple[str, int]] = field(factory=list[tuple[str, int]])
    members: list[tuple[str, int]] = field(factory=list[tuple[str, int]])

    def do(self, step: Step) -> None:
        """Do one step to both; what the real thing refuses must be refusable."""
        try:
            self._do(step)
        except NameTaken:
            held = [who for key, who in self.entries if key == step.key]
            assert held
            assert self.registry.keys == "unique" or step.who in held
        except ActorNotFound:
            assert not self.refs[step.who].is_alive
        except NotJoined:
            assert (step.key, step.who) not in self.members

    def check(self) -> None:
        """Compare."""
        for key in "xy":
            holders = [self.refs[who] for name, who in self.entries if name == key]
            assert [entry.ref for entry in self.registry.lookup(key)] == holders
            assert self.registry.whereis(key) is (holders[0] if holders else None)
            joined = [self.refs[who] for name, who in self.members if name == key]
            assert list(self.groups.members(key)) == joined
        assert len(self.registry) == len(self.entries)

    def _do(self, step: Step) -> None:
        ref, pair = self.refs[step.who], (step.key, step.who)
        match step.verb:
            case "register":
                self.registry.register(step.key, ref)
                self.entries.append(pair)
            case "unregister":
                self.registry.unregister(step.key, ref)
                self.entries = [entry for entry in self.entries if entry != pair]
            case "join":
                self.groups.join(step.key, ref)
                self.members.append(pair)
            case "leave":
                self.groups.leave(step.key, ref)
                self.members.remove(pair)
            case _:
                self.system.kill(ref, why="a stranger")
                self.entries = [entry for entry in self.entries if entry[1] != step.who]
                self.members = [member for member in self.members if member[1] != step.who]


@given(steps=STEPS, keys=st.sampled_from(KEYS), schedule=schedules(max_choices=10))
def prop_names_and_groups_agree_with_lists(steps: list[Step], keys: Keys, schedule: Strategy) -> None:
    """One holder of a unique key; a multiset of members; every operation on the dead is refused."""

    async def scenario() -> None:
        async with open_system() as system:
            lists = Lists(
                system=system,
                registry=system.make_registry(keys=keys),
                groups=system.make_groups(),
                refs=[await system.start(Nobody) for _ in range(3)],
            )
            for step in steps:
                lists.do(step)
                lists.check()

    explore(scenario, strategy=schedule)
