"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from actorllama.kvcache.admission import SecondSight
from actorllama.kvcache.greedy_dual import GreedyDual
from actorllama.kvcache.lru import Lru
from actorllama.kvcache.policy import EvictionPolicy

__all__ = ["DEFAULT_POLICY", "POLICIES", "policy_named"]

POLICIES: Final[Mapping[str, Callable[[], EvictionPolicy]]] = MappingProxyType(
    {
        "greedy-dual": GreedyDual,
        "greedy-dual+second-sight": lambda: SecondSight(GreedyDual()),
        "lru": Lru,
        "lru+second-sight": lambda: SecondSight(Lru()),
    }
)
"""What makes a fresh policy, by name; each tier has one of its own."""

DEFAULT_POLICY: Final = "greedy-dual"


def policy_named(name: str) -> EvictionPolicy:
    """Make a fresh policy.

    Raises:
        ValueError: There is none of this name.
    """
    maker = POLICIES.get(name)
    if maker is None:
        raise ValueError(f"no eviction policy is named {name!r}. Take one of: {', '.join(POLICIES)}.")
    return maker()
