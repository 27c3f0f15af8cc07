"""Tenants share nothing that was computed, in any tier."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama import open_runtime
from actorllama.errors import RequestError, SnapshotMismatch
from actorllama.runtime import Model, Runtime

PROMPT = "Once upon a time there was a small llama who lived on a hill. " * 4


async def load(rt: Runtime) -> Model:
    return await rt.load("demo", n_seq=2, ctx_per_seq=512, n_threads=1)


async def source(model: Model) -> str | None:
    result = await model.complete(PROMPT, max_tokens=2, seed=1)
    return result.usage.source


async def test_a_tenant_finds_only_what_its_own_turns_computed() -> None:
    async with open_runtime() as rt:
        model = await load(rt)
        one, other = model.for_tenant("one"), model.for_tenant("other")
        assert [await source(m) for m in (model, one, other)] == [None] * 3
        assert await source(other) == "live"
        assert await source(model.for_tenant("other")) == "live"


async def test_a_kept_turn_is_its_tenants(tmp_path: Path) -> None:
    async with open_runtime(state_dir=tmp_path) as rt:
        one = (await load(rt)).for_tenant("one")
        first = await one.complete(PROMPT, max_tokens=4, keep=True)
    assert first.resume_key is not None
    async with open_runtime(state_dir=tmp_path) as rt:
        model = await load(rt)
        for stranger in (model, model.for_tenant("other")):
            with pytest.raises(SnapshotMismatch):
                await stranger.resume(first.resume_key)
        rest = await model.for_tenant("one").resume(first.resume_key, max_tokens=3)
    assert rest.usage.n_cached > 0
    assert (rest.usage.source in ("ram", "disk"), rest.exactness) == (True, "exact")


async def test_conversations_are_their_tenants() -> None:
    async with open_runtime() as rt:
        model = await load(rt)
        chats = [model.for_tenant(salt).conversation("You are terse. " * 20) for salt in ("one", "other")]
        firsts = [await chat.say("Hello!", max_tokens=5) for chat in chats]
        seconds = [await chat.say("And?", max_tokens=5) for chat in chats]
    assert [first.usage.n_cached for first in firsts] == [0, 0]
    assert all(second.usage.n_cached > firsts[0].usage.n_prompt for second in seconds)


@pytest.mark.parametrize("salt", ["", None, 7, b"salt"])
async def test_a_salt_is_a_text(salt: object) -> None:
    async with open_runtime() as rt:
        model = await load(rt)
        with pytest.raises(RequestError, match="cache_salt"):
            model.for_tenant(salt)  # type: ignore[arg-type]
