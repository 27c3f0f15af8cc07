"""The few identities that must not be mixed up.

They cost nothing at run time; the type checkers keep a token id from being passed as a sequence id.
"""

from __future__ import annotations

from typing import NewType

__all__ = ["Fingerprint", "SeqId", "TokenId", "TurnId"]

TokenId = NewType("TokenId", int)
"""An index into a model's vocabulary."""

SeqId = NewType("SeqId", int)
"""A sequence inside one llama.cpp context, ``0 <= seq_id < n_seq``."""

TurnId = NewType("TurnId", int)
"""A turn, unique within one runtime, counted from 1."""

Fingerprint = NewType("Fingerprint", str)
"""Hex digest that names a model file or a context layout."""
