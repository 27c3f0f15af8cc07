"""How long prefill takes, as far as eviction must know."""

from __future__ import annotations

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["PrefillCost"]


@frozen(kw_only=True)
class PrefillCost:
    """Seconds of prefill by depth: each token costs the same, and attention to all before it on top."""

    token_s: float
    """Of a token at depth 0."""
    attention_tokens: int = 0
    """The depth at which attention costs as much as all else; 0: it costs nothing."""

    def __attrs_post_init__(self) -> None:
        """Refuse what is no cost."""
        if not 0 < self.token_s < 1e6:
            raise RequestError(field="token_us", value=self.token_s * 1e6, reason="must be above 0")
        if not 0 <= self.attention_tokens < 1 << 40:
            raise RequestError(
                field="attention_tokens", value=self.attention_tokens, reason="must be at least 0"
            )

    def range_s(self, first: int, end: int) -> float:
        """Tell the cost of the tokens from ``first`` to before ``end``."""
        n_tokens = end - first
        linear_s = n_tokens * self.token_s
        if not self.attention_tokens:
            return linear_s
        return linear_s * (1 + (first + end - 1) / 2 / self.attention_tokens)
