"""What the fields of all entries have in common: conversions and bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from operator import index

from actorllama.kvcache.header import Buffer

__all__ = [
    "buffer_size",
    "check_tokens",
    "check_worth",
    "flat",
    "is_count",
    "is_key",
    "require",
    "show_tokens",
    "token_ids",
]

_TOKEN_MAX = (1 << 31) - 1
_KEY = re.compile(r"[0-9a-f]{32}")


def is_key(text: str) -> bool:
    """Tell whether a text can be a key; anything else never becomes a path."""
    return _KEY.fullmatch(text) is not None


def flat(data: bytes | memoryview) -> Buffer:
    """View memory as bytes; nothing is copied."""
    return data if isinstance(data, bytes) else memoryview(data).cast("B")


def token_ids(tokens: Iterable[int]) -> tuple[int, ...]:
    """Make plain integers of whatever counts as one (numpy's, for instance)."""
    return tuple(map(index, tokens))


def show_tokens(tokens: tuple[int, ...]) -> str:
    """Write tokens for a repr without telling a user's words."""
    return f"<{len(tokens)} tokens>"


def buffer_size(data: Buffer | None) -> str:
    """Write a buffer for a repr."""
    return "None" if data is None else f"<{len(data)} bytes>"


def is_count(value: object, n_max: int) -> bool:
    """Tell whether a value is a whole number from 0 to ``n_max``."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= n_max


def require(holds: bool, name: str, value: object) -> None:  # noqa: FBT001 (an assertion with words)
    """Refuse a field that is out of its bounds.

    Raises:
        ValueError: It is.
    """
    if not holds:
        raise ValueError(f"an entry cannot have {name} = {value!r}")


def check_tokens(tokens: tuple[int, ...], *, name: str, n_min: int, n_max: int) -> None:
    """Refuse token ids that no vocabulary has, too few of them, or too many.

    Raises:
        ValueError: They are.
    """
    require(n_min <= len(tokens) <= n_max, f"len({name})", len(tokens))
    if tokens:
        lowest, highest = min(tokens), max(tokens)
        require(lowest >= 0, f"min({name})", lowest)
        require(highest <= _TOKEN_MAX, f"max({name})", highest)


def check_worth(worth_s: float) -> None:
    """Refuse a worth that nothing can have.

    Raises:
        ValueError: It is negative, infinite, or no number.
    """
    require(math.isfinite(worth_s) and worth_s >= 0, "worth_s", worth_s)
