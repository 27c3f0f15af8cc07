"""The random models that speed is measured on, written once and kept."""

from __future__ import annotations

import os
from pathlib import Path

from actorllama.errors import RequestError

__all__ = ["SHAPES", "shape_path"]

SHAPES: tuple[str, ...] = ("15m", "0.5b")
"""``15m``: 6 layers of 288, where overhead shows; ``0.5b``: the shape of Qwen2.5-0.5B."""


def shape_path(shape: str) -> Path:
    """Return a GGUF with random weights of a shape; write it if it is not in the cache directory.

    Cost: seconds for the first call, nothing after. The file stays in ``$XDG_CACHE_HOME/actorllama``.

    Raises:
        RequestError: The shape is not known.
    """
    if shape not in SHAPES:
        raise RequestError(field="shape", value=shape, reason=f"is not one of {', '.join(SHAPES)}")
    from actorllama.testing.random_models import (
        cached_random_model,
    )  # brings gguf: 12 MB in processes of peers

    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "actorllama" / "bench"
    root.mkdir(parents=True, exist_ok=True)
    return cached_random_model(root, shape)
