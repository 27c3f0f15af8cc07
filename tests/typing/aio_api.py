"""Programs for asyncio, and scripts, as users write them; they are never run, they must type-check."""

from pathlib import Path
from typing import assert_type

from actorllama import TextPiece, TurnResult, aio


async def stream_in_asyncio(path: Path) -> TurnResult:
    async with aio.open_runtime(mode="guest", state_dir=path) as rt:
        assert_type(rt, aio.AsyncRuntime)
        model = await rt.load("chat", path, n_seq=8, ctx_per_seq=8192)
        assert_type(model, aio.AsyncModel)
        async with model.stream("Once upon a time", max_tokens=64, seed=7, temperature=0.0) as turn:
            assert_type(turn, aio.AsyncTurn)
            async for piece in turn:
                assert_type(piece, TextPiece)
        chat = model.conversation("Be brief.")
        assert_type(chat, aio.AsyncConversation)
        assert_type(await chat.say("hello"), TurnResult)
        return turn.result


def stream_in_a_script() -> TurnResult:
    with aio.open_blocking_runtime() as rt:
        assert_type(rt, aio.BlockingRuntime)
        model = rt.load("demo")
        assert_type(model, aio.BlockingModel)
        with model.stream(messages=[{"role": "user", "content": "hello"}]) as turn:
            assert_type(turn, aio.BlockingTurn)
            for piece in turn:
                assert_type(piece, TextPiece)
        chat = model.conversation("Be brief.")
        assert_type(chat, aio.BlockingConversation)
        assert_type(chat.say("hello"), TurnResult)
        return turn.result
