"""A turn's stream: any order of pushes, reads, waits and readers that give up."""

from __future__ import annotations

from typing import Literal, TypeAlias

import trio
from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine import TextPiece, TurnStream

Step: TypeAlias = tuple[Literal["push", "wait", "leave"], str, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("push", "push", "wait", "leave")),
        st.sampled_from(("", "a", "bc")),
        st.integers(min_value=1, max_value=5),
    ),
    max_size=40,
)


class Turn:
    """An engine that pushes as far as its credit goes, and one reader that comes and goes."""

    def __init__(self, nursery: trio.Nursery, window: int) -> None:
        self.stream = TurnStream(window=window)
        self.stream.connect(self._grant)
        self.window = self.credit = window
        self.pushed, self.n_pushed = "", 0
        self.read: list[TextPiece] = []
        self._nursery = nursery
        self._waiting: trio.CancelScope | None = None

    def _grant(self, n_tokens: int) -> None:
        self.credit += n_tokens

    def push(self, text: str, n_tokens: int) -> None:
        n_tokens = min(n_tokens, self.credit)
        if n_tokens == 0:
            return
        self.credit -= n_tokens
        self.pushed += text
        self.n_pushed += n_tokens
        self.stream.push(text, n_tokens)

    def wait(self) -> None:
        if self._waiting is None:
            self._waiting = trio.CancelScope()
            self._nursery.start_soon(self._receive, self._waiting)

    def leave(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _receive(self, scope: trio.CancelScope) -> None:
        with scope:
            piece = await self.stream.receive()
            if piece is not None:
                self.read.append(piece)
        self._waiting = None

    @property
    def n_read(self) -> int:
        return sum(piece.n_tokens for piece in self.read)

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.read)


async def settle() -> None:
    for _ in range(4):
        await trio.lowlevel.checkpoint()


@given(steps=STEPS, window=st.integers(min_value=2, max_value=9), settles=st.booleans())
def prop_text_comes_whole_and_in_order_and_credit_never_runs_out_for_who_reads(
    steps: list[Step], window: int, *, settles: bool
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            turn = Turn(nursery, window)
            for verb, text, n_tokens in steps:
                match verb:
                    case "push":
                        turn.push(text, n_tokens)
                    case "wait":
                        turn.wait()
                    case "leave":
                        turn.leave()
                if settles:
                    await settle()
                assert 0 <= turn.credit <= window
                assert turn.pushed.startswith(turn.text)
            await settle()
            while turn.text != turn.pushed:
                turn.wait()
                await settle()
            assert turn.credit * 2 > window  # all is read: what is kept back is less than half
            turn.stream.close()
            turn.leave()
            await settle()
            assert turn.text == turn.pushed
            assert all(piece.text for piece in turn.read)
            assert turn.n_read <= turn.n_pushed
            assert await turn.stream.receive() is None

    trio.run(main)
