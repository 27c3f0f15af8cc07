"""What the cache and models offer, as the ladder sees it."""

from __future__ import annotations

import mmap

from actorllama.engine.cache_messages import MemoryOffer
from actorllama.engine.pressure_offers import cache_offers
from actorllama.engine.pressure_plan import Step


def test_the_cache_offers_what_is_there_mildest_first() -> None:
    offer = MemoryOffer(demotable_bytes=100, evictable_bytes=200, largest_bytes=7, scratch_bytes=50)
    offers = [(item.step, item.n_bytes, item.unit_bytes) for item in cache_offers(offer)]

    assert offers == [
        (Step.DEMOTE, 100, 7),
        (Step.DROP_SCRATCH, 50, mmap.PAGESIZE),
        (Step.EVICT, 200, 7),
    ]
    assert cache_offers(MemoryOffer(demotable_bytes=0, evictable_bytes=0, largest_bytes=0)) == ()
