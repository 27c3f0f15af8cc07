"""What a sequence holds that no turn has."""

from __future__ import annotations

from attrs import field, frozen

from actorllama.engine.cache_messages import CountCells, KeepCells
from actorllama.ids import SeqId
from actorllama.kvcache import Buffer
from actorllama.native import StateCutter

__all__ = ["IdleCells"]


@frozen(kw_only=True)
class IdleCells:
    """The cells of one idle sequence."""

    seq_id: SeqId
    namespace: str
    tokens: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    cutter: StateCutter = field(repr=False)
    token_s: float | None

    def count(self) -> CountCells:
        """Ask how many of them are saved."""
        return CountCells(namespace=self.namespace, tokens=self.tokens, cutter=self.cutter)

    def kept(self, kv: Buffer) -> KeepCells:
        """Have them saved."""
        return KeepCells(
            namespace=self.namespace,
            tokens=self.tokens,
            kv=kv,
            cutter=self.cutter,
            token_s=self.token_s,
            snapshot=None,
        )
