"""A state that cannot be brought costs time, never an answer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from actorllama.engine import CacheActor
from actorllama.errors import StateError
from actorllama.kvcache import CacheOptions
from actorllama.native import Allocate, fresh_memory
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_cutter import FakeCutter
from tests.engine.test_cache_actor import BIG, keep, open_desk, state


class UnableCutter(FakeCutter):
    """Puts nothing together."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def join(
        self,
        blocks: Iterable[memoryview],
        boundary: memoryview | None,
        *,
        n_blocks: int | None = None,
        allocate: Allocate = fresh_memory,
    ) -> memoryview:
        raise self._error


@pytest.mark.parametrize("n_cells", [8, BIG])
async def test_parts_that_make_no_state_are_told_and_the_prefix_is_computed(
    n_cells: int, bus: Bus, heard: MemoryHandler
) -> None:
    cache = CacheActor(CacheOptions(block_tokens=4096), None)
    async with open_desk(cache=cache, bus=bus) as desk:
        desk.cache.info_nowait(keep(range(n_cells), n_block=4096))
        question = (*range(n_cells), 9)
        cutter = UnableCutter(StateError(operation="join", reason="of another kind"))
        assert await desk.find(question, cutter=cutter) is None
        assert await desk.find(question) is not None
    (dropped,) = heard.of(("engine", "cells", "dropped"))
    assert "of another kind" in str(dropped.metadata["reason"])


async def test_a_child_that_crashes_brings_nothing_and_the_next_question_is_answered() -> None:
    async with open_desk(cache=CacheActor(CacheOptions(block_tokens=4096), None)) as desk:
        desk.cache.info_nowait(keep(range(BIG), n_block=4096))
        question = (*range(BIG), 9)
        assert await desk.find(question, cutter=UnableCutter(RuntimeError("a bug"))) is None
        found = await desk.find(question)
        assert found is not None
        assert bytes(found.kv) == bytes(state(range(BIG)))
