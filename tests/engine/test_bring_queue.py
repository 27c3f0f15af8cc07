"""States are brought one at a time from each tier, and nobody who asks is forgotten."""

from __future__ import annotations

from typing import cast

import trio
from attrs import evolve

from actorllama.actors import Ref
from actorllama.engine.bring_queue import BringQueue
from actorllama.engine.cache_actor import CacheActor
from actorllama.engine.cache_messages import FindPrefix
from actorllama.ids import TurnId
from actorllama.kvcache import CacheOptions
from actorllama.testing.fake_cutter import FakeCutter
from tests.engine.test_cache_actor import BIG, keep, open_desk, wait_found


def question(number: int) -> FindPrefix:
    return FindPrefix(
        turn_id=TurnId(number),
        namespace="ab",
        tokens=(1,),
        n_had=0,
        n_least=1,
        token_s=None,
        cutter=FakeCutter(),
        reply_to=cast("Ref", None),
    )


def test_one_of_a_tier_at_a_time_and_the_others_in_order() -> None:
    queue = BringQueue()
    first, second, third, other = (question(number) for number in range(4))
    assert queue.may_begin("ram", first, n_before=1)
    assert not queue.may_begin("ram", second, n_before=2)
    assert queue.may_begin("disk", other, n_before=3)
    assert not queue.may_begin("ram", third, n_before=4)
    assert queue.ended("disk") == []
    assert queue.ended("ram") == [(second, 2), (third, 4)]
    assert queue.may_begin("ram", second, n_before=2)
    assert not queue.may_begin("ram", third, n_before=4)
    assert queue.ended("ram") == [(third, 4)]


async def test_turns_that_ask_at_the_same_time_all_get_their_state() -> None:
    """So many cells that each state is put together in a child."""
    async with open_desk(cache=CacheActor(CacheOptions(block_tokens=4096), None)) as desk:
        kept = [keep((number, *range(BIG)), n_block=4096) for number in range(5)]
        for turn in kept:
            desk.cache.info_nowait(turn)
        for turn in kept:
            await wait_found(desk.cache, turn)
        for number, turn in enumerate(kept):
            asked = evolve(question(number), tokens=(*turn.tokens, 7), reply_to=desk._asker)
            desk.cache.info_nowait(asked)
        with trio.fail_after(60):
            while len(desk._answers) < len(kept):
                await trio.lowlevel.checkpoint()
        for answer in desk._answers:
            assert answer.restore is not None
            assert bytes(answer.restore.kv) == bytes(kept[int(answer.turn_id)].kv or b"")
        assert sorted(int(answer.turn_id) for answer in desk._answers) == list(range(len(kept)))
