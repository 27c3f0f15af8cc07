"""The channel between a turn and its reader, by credit."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from actorllama.engine import TextPiece, TurnStream


def connected(window: int = 4) -> tuple[TurnStream, list[int]]:
    """Make a stream and the list of its grants."""
    grants: list[int] = []
    stream = TurnStream(window=window)
    stream.connect(grants.append)
    return stream, grants


async def test_text_that_piled_up_comes_in_one_piece() -> None:
    stream, _ = connected()
    stream.push("a", 1)
    stream.push("", 1)
    stream.push("b", 2)

    assert await stream.receive() == TextPiece(text="ab", n_tokens=4)


async def test_a_reader_waits_for_text() -> None:
    stream, _ = connected()
    got: list[TextPiece | None] = []

    async def read() -> None:
        got.append(await stream.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert got == []
        stream.push("x", 1)
    assert got == [TextPiece(text="x", n_tokens=1)]


async def test_what_is_buffered_can_be_read_after_the_end() -> None:
    stream, _ = connected()
    stream.push("last", 1)
    stream.close()

    assert await stream.receive() == TextPiece(text="last", n_tokens=1)
    assert await stream.receive() is None
    assert await stream.receive() is None


async def test_credit_comes_back_when_half_a_window_was_read() -> None:
    stream, grants = connected(window=4)
    stream.push("a", 1)
    await stream.receive()
    assert grants == []
    stream.push("b", 1)
    await stream.receive()
    assert grants == [2]


async def test_tokens_without_text_give_their_credit_back_by_themselves() -> None:
    stream, grants = connected(window=4)
    for _ in range(4):
        stream.push("", 1)
    assert sum(grants) == 4


async def test_tokens_without_text_wait_behind_text_that_was_not_read() -> None:
    """A slow reader gets no credit, whatever the tokens hold."""
    stream, grants = connected(window=4)
    stream.push("a", 1)
    stream.push("", 3)
    assert grants == []
    assert await stream.receive() == TextPiece(text="a", n_tokens=4)
    assert grants == [4]


async def test_a_cancelled_reader_loses_no_text() -> None:
    stream, _ = connected()
    with trio.move_on_after(0) as scope:
        await stream.receive()
    assert scope.cancelled_caught
    stream.push("kept", 1)
    assert await stream.receive() == TextPiece(text="kept", n_tokens=1)


async def test_a_reader_that_waits_is_cancelled_and_may_come_back() -> None:
    stream, _ = connected()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.receive)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    stream.push("later", 1)
    assert await stream.receive() == TextPiece(text="later", n_tokens=1)


async def test_reading_is_a_checkpoint_even_when_text_is_there() -> None:
    stream, _ = connected()
    stream.push("a", 1)
    with trio.testing.assert_checkpoints():
        await stream.receive()


async def test_a_diverted_stream_hands_text_over_as_it_comes_and_credit_waits_for_the_reader() -> None:
    stream, grants = connected(window=4)
    stream.push("a", 1)
    got: list[TextPiece] = []
    give_back = stream.divert(got.append)
    stream.push("b", 1)

    assert got == [TextPiece(text="a", n_tokens=1), TextPiece(text="b", n_tokens=1)]
    assert grants == []
    give_back(2)
    assert grants == [2]
    stream.close()
    assert await stream.receive() is None


async def test_a_diverted_stream_keeps_the_credit_of_tokens_without_text_behind_unread_text() -> None:
    stream, grants = connected(window=4)
    give_back = stream.divert(lambda _piece: None)
    stream.push("", 2)
    assert grants == [2], "nothing was unread: nobody could give it back"
    stream.push("a", 1)
    stream.push("", 3)
    assert grants == [2]
    give_back(1)
    assert grants == [2, 4]
