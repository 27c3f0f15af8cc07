"""Laws of eviction policies, against a tier that looks at every entry."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama.kvcache.lru import Lru
from actorllama.kvcache.policies import POLICIES, policy_named
from actorllama.kvcache.policy import EvictionPolicy, Offer, Room

N_KEYS = 10
names = st.sampled_from(sorted(POLICIES))
sizes = st.integers(0, 9)
# A forest in which the parent of a key is a smaller one, so that it has no cycle.
forests = st.tuples(*(st.one_of(st.none(), st.integers(0, max(i - 1, 0))) for i in range(N_KEYS))).map(
    lambda parents: [None if i == 0 else parent for i, parent in enumerate(parents)]
)
acts = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "use", "use", "remove", "pin", "unpin"]),
        st.integers(0, N_KEYS - 1),
        sizes,
        st.sampled_from([0.0, 0.5, 1.0, 4.0]),
    ),
    max_size=60,
)


class NaiveTier:
    """Does what a tier does and keeps what a policy must respect; ranks as LRU does, by looking at all."""

    def __init__(self, policy: EvictionPolicy, limit_bytes: int) -> None:
        self.policy = policy
        self.limit_bytes = limit_bytes
        self.held: dict[str, Offer] = {}
        self.used_at: dict[str, int] = {}
        self.pinned: set[str] = set()
        self.clock = 0

    def used_bytes(self) -> int:
        return sum(one.n_bytes for one in self.held.values())

    def touch(self, key: str) -> None:
        self.clock += 1
        self.used_at[key] = self.clock

    def put(self, offer: Offer) -> Room:
        old_bytes = self.held[offer.key].n_bytes if offer.key in self.held else 0
        needed_bytes = self.used_bytes() - old_bytes + offer.n_bytes - self.limit_bytes
        room = self.policy.plan_room(offer, needed_bytes=needed_bytes)
        assert room == self.policy.plan_room(offer, needed_bytes=needed_bytes), "asking changed something"
        self.check(room, offer, needed_bytes)
        if room.verdict == "decline":
            self.policy.on_decline(offer.key)
        if room.verdict == "admit":
            for key in room.victims:
                self.policy.on_evict(key)
                del self.held[key]
            self.policy.on_put(offer)
            self.held[offer.key] = offer
            self.touch(offer.key)
        assert len(self.policy) == len(self.held)
        return room

    def free(self, offer: Offer, gone: list[str]) -> list[str]:
        """List what may go, when some went already."""
        left = {key: one for key, one in self.held.items() if key not in gone}
        parents = {one.parent for one in left.values()}
        spared = {offer.key, offer.parent} | self.pinned
        return [key for key in left if key not in parents and key not in spared]

    def check(self, room: Room, offer: Offer, needed_bytes: int) -> None:
        gone: list[str] = []
        freed_bytes = 0
        for key in room.victims:
            assert freed_bytes < needed_bytes, "more went than was needed"
            assert key in self.free(offer, gone), "it was pinned, or spared, or had children"
            if isinstance(self.policy, Lru):
                assert key == min(self.free(offer, gone), key=self.used_at.__getitem__)
            gone.append(key)
            freed_bytes += self.held[key].n_bytes
        if room.verdict == "admit":
            assert freed_bytes >= needed_bytes
        else:
            assert room.victims == ()
            assert needed_bytes > 0
        if room.verdict == "full":
            while more := self.free(offer, gone):
                gone.extend(more)
            assert sum(self.held[key].n_bytes for key in gone) < needed_bytes, "it stopped short"

    def act(self, what: str, key: str, n_bytes: int, worth_s: float, parent: str | None) -> None:
        if what == "put":
            self.put(Offer(key=key, n_bytes=n_bytes, worth_s=worth_s, parent=parent))
        elif what == "use":
            self.policy.on_use(key)
            self.touch(key)
        elif what == "remove" and key not in self.pinned:
            self.policy.on_remove(key)
            self.held.pop(key, None)
        elif what == "pin" and key in self.held:
            self.policy.on_pin(key)
            self.pinned.add(key)
        elif what == "unpin":
            self.policy.on_unpin(key)
            self.pinned.discard(key)


@given(name=names, parents=forests, acts=acts, limit_bytes=st.integers(0, 40))
def prop_only_free_leaves_go_and_no_more_than_needed_and_lru_is_by_time(
    name: str,
    parents: list[int | None],
    acts: list[tuple[str, int, int, float]],
    limit_bytes: int,
) -> None:
    tier = NaiveTier(policy_named(name), limit_bytes)
    for what, index, n_bytes, worth_s in acts:
        parent = parents[index]
        tier.act(what, str(index), n_bytes, worth_s, None if parent is None else str(parent))
        assert tier.used_bytes() <= limit_bytes


@settings(max_examples=10)
@given(name=names, seed=st.lists(st.integers(0, 300), min_size=200, max_size=200))
def prop_a_scan_of_any_length_is_held_within_the_limit_and_ends(name: str, seed: list[int]) -> None:
    """Whatever comes, each policy takes in what it once declined: nothing is stuck for ever."""
    tier = NaiveTier(policy_named(name), 50)
    for index in seed:
        tier.put(Offer(key=str(index), n_bytes=10, worth_s=1.0))
    last = Offer(key="last", n_bytes=10, worth_s=1.0)
    verdicts = [tier.put(last).verdict, tier.put(last).verdict]
    assert verdicts[1] == "admit"
