"""The cutter of one context: which sections its states have, and for how many streams."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from actorllama.native.state_blocks import split_state
from actorllama.native.state_join import join_state
from actorllama.native.state_part import float_rows
from actorllama.native.state_parts import Allocate, FloatRows, StateParts, fresh_memory
from actorllama.native.state_reader import SectionKind

__all__ = ["LayoutCutter"]


@frozen(kw_only=True)
class LayoutCutter:
    """Cuts states that llama.cpp wrote (`state_blocks.py`)."""

    kinds: tuple[SectionKind, ...]
    n_stream: int
    """Streams of the context: 1 if shared, else its number of sequences."""

    @property
    def has_blocks(self) -> bool:
        """Whether there is attention: rows of tokens."""
        return "attention" in self.kinds

    @property
    def needs_boundary(self) -> bool:
        """Whether there is anything but attention."""
        return self.kinds != ("attention",)

    def split(
        self,
        data: memoryview,
        *,
        block_tokens: int,
        first_block: int = 0,
        allocate: Allocate = fresh_memory,
    ) -> StateParts:
        """Cut a state.

        Raises:
            StateError: It is no such state.
        """
        return split_state(
            data,
            self.kinds,
            n_stream=self.n_stream,
            block_tokens=block_tokens,
            first_block=first_block,
            allocate=allocate,
        )

    def float_rows(self, part: memoryview) -> tuple[FloatRows, ...]:
        """Say where in a part the rows of f16 and f32 lie.

        Raises:
            StateError: It is no part.
        """
        return float_rows(part)

    def join(
        self,
        blocks: Iterable[memoryview],
        boundary: memoryview | None,
        *,
        n_blocks: int | None = None,
        allocate: Allocate = fresh_memory,
    ) -> memoryview:
        """Make a state for the context.

        Raises:
            StateError: The parts do not fit together.
        """
        return join_state(blocks, boundary, n_stream=self.n_stream, n_blocks=n_blocks, allocate=allocate)
