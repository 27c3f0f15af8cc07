"""Policies choose what goes: examples. The laws are in props/prop_policy.py."""

from __future__ import annotations

import weakref

import pytest

from actorllama.kvcache.admission import SecondSight
from actorllama.kvcache.greedy_dual import GreedyDual
from actorllama.kvcache.key_memory import KeyMemory
from actorllama.kvcache.lru import Lru
from actorllama.kvcache.policies import DEFAULT_POLICY, POLICIES, policy_named
from actorllama.kvcache.policy import EvictionPolicy, Offer, Room


def offer(key: str, parent: str | None = None, *, n_bytes: int = 10, worth_s: float = 1.0) -> Offer:
    return Offer(key=key, n_bytes=n_bytes, worth_s=worth_s, parent=parent)


def filled(policy: EvictionPolicy, *offers: Offer) -> EvictionPolicy:
    for one in offers:
        policy.on_put(one)
    return policy


def victims(policy: EvictionPolicy, needed_bytes: int, newcomer: Offer | None = None) -> tuple[str, ...]:
    return policy.plan_room(newcomer or offer("new"), needed_bytes=needed_bytes).victims


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_found_by_its_name_and_is_fresh_each_time(name: str) -> None:
    policy = policy_named(name)
    policy.on_put(offer("a"))
    assert policy.name == name
    assert (len(policy), len(policy_named(name))) == (1, 0)
    assert "1 entries, 10 bytes" in repr(policy)


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=DEFAULT_POLICY):
        policy_named("belady")


@pytest.mark.parametrize("name", ["lru", "greedy-dual"])
def test_what_was_used_longest_ago_goes_first_where_all_else_is_equal(name: str) -> None:
    policy = filled(policy_named(name), offer("a"), offer("b"), offer("c"))
    policy.on_use("a")
    policy.on_use("b")
    policy.on_use("c")
    policy.on_use("b")
    assert victims(policy, 11) == ("a", "c")


@pytest.mark.parametrize("name", ["lru", "greedy-dual"])
def test_a_leaf_goes_before_its_root_whatever_the_order_of_use(name: str) -> None:
    policy = filled(policy_named(name), offer("root"), offer("mid", "root"), offer("leaf", "mid"))
    policy.on_use("leaf")
    assert victims(policy, 30) == ("leaf", "mid", "root")


def test_a_child_that_came_before_its_parent_holds_it_too() -> None:
    policy = filled(Lru(), offer("leaf", "root"), offer("root"))
    assert victims(policy, 20) == ("leaf", "root")


def test_a_pinned_leaf_holds_its_ancestors_until_it_is_unpinned() -> None:
    policy = filled(Lru(), offer("root"), offer("leaf", "root"), offer("other"))
    policy.on_pin("leaf")
    assert victims(policy, 10) == ("other",)
    assert policy.plan_room(offer("new"), needed_bytes=11) == Room(verdict="full")
    policy.on_unpin("leaf")
    assert victims(policy, 30) == ("leaf", "root", "other")


def test_neither_the_parent_of_what_comes_nor_its_own_old_entry_makes_room_for_it() -> None:
    policy = filled(Lru(), offer("root"), offer("leaf", "root"), offer("other"))
    assert victims(policy, 10, offer("new", "leaf")) == ("other",)
    assert victims(policy, 10, offer("leaf", "root")) == ("other",)


def test_asking_changes_nothing() -> None:
    policy = filled(Lru(), offer("root"), offer("leaf", "root"), offer("other"))
    assert [victims(policy, 20), victims(policy, 30), victims(policy, 20)] == [
        ("leaf", "root"),
        ("leaf", "root", "other"),
        ("leaf", "root"),
    ]


def test_no_more_goes_than_is_needed_and_nothing_if_nothing_is() -> None:
    policy = filled(Lru(), offer("a", n_bytes=5), offer("b", n_bytes=100), offer("c"))
    assert victims(policy, 0) == ()
    assert victims(policy, 5) == ("a",)
    assert victims(policy, 6) == ("a", "b")


def test_more_than_all_of_it_is_not_to_be_had() -> None:
    assert filled(Lru(), offer("a")).plan_room(offer("b"), needed_bytes=11).verdict == "full"


@pytest.mark.parametrize("name", POLICIES)
def test_unknown_keys_are_ignored(name: str) -> None:
    policy = policy_named(name)
    for told in (policy.on_use, policy.on_evict, policy.on_remove, policy.on_pin, policy.on_unpin):
        told("nobody")
    assert len(policy) == 0


def test_an_entry_put_again_keeps_its_pin_and_its_uses() -> None:
    policy = filled(GreedyDual(), offer("a"), offer("b"), offer("c"))
    policy.on_use("a")
    policy.on_pin("b")
    policy.on_put(offer("a"))
    policy.on_put(offer("b"))
    assert victims(policy, 20) == ("c", "a")
    assert policy.plan_room(offer("new"), needed_bytes=30).verdict == "full"


def test_what_saves_fewer_seconds_per_byte_goes_first() -> None:
    policy = filled(
        GreedyDual(),
        offer("dear", worth_s=3.0),
        offer("cheap", worth_s=1.0),
        offer("large", worth_s=3.0, n_bytes=60),
    )
    assert victims(policy, 75) == ("large", "cheap", "dear")


def test_a_leaf_that_takes_next_to_nothing_does_not_hold_its_ancestors_for_ever() -> None:
    policy = filled(GreedyDual(), offer("root"), offer("tiny", "root", n_bytes=1), offer("other"))
    went: list[str] = []
    for index in range(20):
        newcomer = offer(f"new{index}")
        for victim in victims(policy, 10, newcomer):
            policy.on_evict(victim)
            went.append(victim)
        policy.on_put(newcomer)
    assert went[0] == "other"
    assert [key for key in went if key in ("root", "tiny")] == ["tiny", "root"]


def test_an_entry_of_unknown_worth_counts_as_the_mean() -> None:
    policy = filled(GreedyDual(), offer("known"), offer("unknown", worth_s=0.0), offer("later"))
    assert victims(policy, 30) == ("known", "unknown", "later")
    alone = filled(GreedyDual(), offer("first", worth_s=0.0), offer("second", worth_s=0.0))
    assert victims(alone, 10) == ("first",)


def test_what_was_used_again_stays_longer_but_not_for_ever() -> None:
    policy = filled(GreedyDual(), offer("popular"), offer("once"))
    for _ in range(100):
        policy.on_use("popular")
    went: list[str] = []
    for index in range(4):
        newcomer = offer(f"new{index}")
        for victim in victims(policy, 10, newcomer):
            policy.on_evict(victim)
            went.append(victim)
        policy.on_put(newcomer)
    assert went[0] == "once"
    assert "popular" in went


def test_that_it_was_used_again_is_known_after_it_went() -> None:
    policy = filled(GreedyDual(), offer("back"))
    policy.on_evict("back")
    filled(policy, offer("back"), offer("new"))
    assert victims(policy, 10, offer("next")) == ("new",)


def test_what_was_removed_and_not_evicted_leaves_no_trace() -> None:
    policy = filled(GreedyDual(), offer("back"))
    policy.on_remove("back")
    filled(policy, offer("back"), offer("new"))
    assert victims(policy, 10, offer("next")) == ("back",)


def test_what_was_never_seen_is_declined_once_and_only_if_something_had_to_go() -> None:
    policy = filled(SecondSight(Lru()), offer("a"))
    assert policy.plan_room(offer("new"), needed_bytes=0).verdict == "admit"
    assert policy.plan_room(offer("new"), needed_bytes=10) == Room(verdict="decline")
    policy.on_decline("new")
    assert policy.plan_room(offer("new"), needed_bytes=10) == Room(verdict="admit", victims=("a",))


def test_what_was_evicted_may_come_back_at_once() -> None:
    policy = filled(SecondSight(Lru()), offer("a"), offer("b"))
    policy.on_evict("a")
    assert policy.plan_room(offer("a"), needed_bytes=10).verdict == "admit"


def test_a_tier_that_cannot_make_room_is_full_whoever_asks() -> None:
    policy = filled(SecondSight(Lru()), offer("a"))
    policy.on_pin("a")
    assert policy.plan_room(offer("new"), needed_bytes=10).verdict == "full"


def test_a_memory_of_keys_forgets_the_oldest_above_its_bound() -> None:
    memory = KeyMemory()
    for key in ("a", "b", "a", "c"):
        memory.remember(key, n_keys_max=2)
    assert [key in memory for key in "abc"] == [True, False, True]
    assert [memory.forget("a"), memory.forget("a"), len(memory)] == [True, False, 1]


def test_what_was_removed_is_not_kept_even_if_room_is_never_needed() -> None:
    policy = Lru()
    removed: list[weakref.ref[Offer]] = []
    for index in range(500):
        one = offer(f"gone{index}")
        removed.append(weakref.ref(one))
        policy.on_put(one)
        policy.on_remove(one.key)
        del one
    assert sum(ref() is not None for ref in removed) < 100
    filled(policy, offer("a"), offer("b"))
    assert victims(policy, 11) == ("a", "b")
