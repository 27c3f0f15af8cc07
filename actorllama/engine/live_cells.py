"""What the sequences of a context hold: the nearest tier of the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from actorllama.engine.prefix import Prefix, common_cells
from actorllama.ids import SeqId

__all__ = ["HeldCells", "LiveCells", "LiveMatch"]


@frozen(kw_only=True)
class HeldCells:
    """The cells of one idle sequence."""

    prefix: Prefix
    """Of marked tokens."""
    namespace: str


@frozen(kw_only=True)
class LiveMatch:
    """An idle sequence that begins like a prompt."""

    seq_id: SeqId
    n_cells: int


class LiveCells:
    """Remember what idle sequences hold, and find the one that begins most like a prompt.

    An idle sequence keeps its cells until another turn needs it: who comes back finds them there.

    Owner: the turn desk.
    """

    def __init__(self, *, is_sliceable: bool) -> None:
        """Begin with all sequences empty.

        Args:
            is_sliceable: Whether the last cells of a sequence can be taken back; else only all that it
                holds can be used.
        """
        self._is_sliceable = is_sliceable
        self._held: dict[SeqId, HeldCells] = {}

    @property
    def n_cells(self) -> int:
        """Cells of all idle sequences."""
        return sum(len(held.prefix.tokens) for held in self._held.values())

    def held(self) -> Mapping[SeqId, HeldCells]:
        """Say what each sequence holds; those that hold nothing are not in it."""
        return dict(self._held)

    def hold(self, seq_id: SeqId, cells: HeldCells) -> None:
        """Remember what a sequence holds from now on; no tokens are nothing."""
        if cells.prefix.tokens:
            self._held[seq_id] = cells
        else:
            self._held.pop(seq_id, None)

    def forget(self, seq_id: SeqId) -> None:
        """Know nothing about a sequence any more: a turn has it."""
        self._held.pop(seq_id, None)

    def __contains__(self, seq_id: object) -> bool:
        """Tell whether a sequence holds anything."""
        return seq_id in self._held

    def find(self, prompt: Prefix, free: Iterable[SeqId], *, n_most: int) -> LiveMatch | None:
        """Find the free sequence whose cells begin the prompt, the one with most of them.

        Args:
            prompt: What is to be computed.
            free: Sequences that may be used.
            n_most: Cells that can be used at most.

        Cost: a few microseconds for each sequence that holds anything.
        """
        best: LiveMatch | None = None
        for seq_id in free:
            held = self._held.get(seq_id)
            if held is None:
                continue
            n_cells = min(common_cells(held.prefix, prompt), n_most)
            if not self._is_sliceable and n_cells < len(held.prefix.tokens):
                continue
            if n_cells > (best.n_cells if best else 0):
                best = LiveMatch(seq_id=seq_id, n_cells=n_cells)
        return best
