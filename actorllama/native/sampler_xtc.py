"""XTC: sometimes leave out all of the likely tokens but the least likely of them."""

from __future__ import annotations

import numpy as np

from actorllama.native.sampler_shifts import Row

__all__ = ["xtc_order"]


def xtc_order(logits: Row, *, threshold: float, min_keep: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return which candidates stay, as indices, most probable first.

    Every token of at least ``threshold`` probability goes, but for the last of them; nothing goes if
    that would leave fewer than ``min_keep``. Whether to do this at all is drawn by the caller.

    Source: ``xtc`` in llama.cpp's src/llama-sampler.cpp, after p-e-w's text-generation-webui pull
    request 6335. There in float32, here in float64: a probability within 1e-6 of the threshold may
    fall on the other side.
    """
    order = np.argsort(-logits, kind="stable")
    weights = np.exp(logits[order].astype(np.float64) - float(logits[order[0]]))
    n_likely = int(np.count_nonzero(weights / weights.sum() >= threshold))
    first = n_likely - 1
    if first > 0 and len(order) - first >= min_keep:
        return order[first:]
    return order
