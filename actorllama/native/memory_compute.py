"""How large llama.cpp's compute buffer gets: what a graph holds at once, at its fullest.

llama.cpp reserves the worst graph when a context is made: ``n_ubatch`` tokens over all cells. Its allocator
gives a tensor's room to the next one as soon as nobody reads it any more, so the buffer is as large as the
fullest moment: attention (without flash attention, the scores of every head over every cell), the
feed-forward, a state space's scan, or the logits. The numbers of widths below were fitted to what llama.cpp
reserved for 21 models in 1344 layouts: 0.97 to 1.27 times the truth for models of real size, up to 1.5 times
for toys. `tests/native/test_memory_estimate.py` and `test_memory_compute.py` compare some of them again.
"""

from __future__ import annotations

from attrs import frozen

from actorllama.native.families import MAMBA2
from actorllama.native.memory_footprint import ModelFootprint
from actorllama.native.options import ContextOptions

__all__ = ["ComputePeaks", "estimate_compute"]

_NUMBER = 4  # bytes of F32, in which graphs compute
_INPUT_BYTES = 32  # of a token: its id, position, and places in the cache and the output
_LEAST_BYTES = 4096


@frozen(kw_only=True)
class ComputePeaks:
    """The fullest moments of a graph, in bytes; the buffer is as large as the largest that a device computes.

    ``layer_bytes`` is that of any layer, ``output_bytes`` that of the logits, ``input_bytes`` what is there
    where only the embedding is looked up.
    """

    layer_bytes: int
    output_bytes: int
    input_bytes: int


def estimate_compute(footprint: ModelFootprint, options: ContextOptions) -> ComputePeaks:
    """Estimate the compute buffer of a context."""
    facts = footprint.facts
    wide = options.with_batch_for_sequences()
    n_tokens = min(wide.n_ubatch, wide.n_batch, wide.n_ctx)
    column = _NUMBER * n_tokens  # one number for each token of the batch
    width = column * facts.n_embd
    mask = _mask_bytes(footprint, wide, n_tokens)
    inputs = n_tokens * _INPUT_BYTES + _LEAST_BYTES
    state = _state_bytes_per_layer(footprint) * wide.n_seq
    moments = [5 * width + 2 * column * footprint.n_ff]
    if any(facts.layers.heads_kv):
        moments.append(_attention_bytes(footprint, wide, n_tokens))
    if footprint.n_inner:
        n_state = footprint.n_state * (8 if facts.architecture in MAMBA2 else 2)
        scan = 2 * width + column * (6 * footprint.n_inner + n_state)
        moments.append(scan + state + state // 4)
    # A short convolution's two halves are still there when the logits are placed.
    n_widths = 6 if any(facts.layers.is_recurrent) and not footprint.n_inner else 5
    logits = column * facts.n_vocab + n_widths * width + min(mask, 2 * width) + state
    return ComputePeaks(
        layer_bytes=inputs + mask + max(moments),
        output_bytes=inputs + logits,
        input_bytes=inputs + mask + 2 * width,
    )


def _cells_seen(options: ContextOptions) -> int:
    """Count the cells that one token's attention runs over."""
    return options.n_ctx if options.layout == "shared" else options.padded_ctx_per_seq


def _mask_bytes(footprint: ModelFootprint, options: ContextOptions, n_tokens: int) -> int:
    """Count the masks: which cell each token sees; one for each kind of layer that attends."""
    layers = footprint.facts.layers
    kinds = {windowed for windowed, n in zip(layers.is_windowed, layers.heads_kv, strict=True) if n}
    number = 2 if options.flash_attention else _NUMBER
    return len(kinds) * number * n_tokens * _cells_seen(options)


def _attention_bytes(footprint: ModelFootprint, options: ContextOptions, n_tokens: int) -> int:
    facts = footprint.facts
    column = _NUMBER * n_tokens
    n_heads, n_heads_kv = max(facts.layers.heads), max(facts.layers.heads_kv)
    key = max(facts.key_width, facts.key_width_swa)
    value = max(facts.value_width, facts.value_width_swa)
    # Norms after attention, and a state space beside it, each keep one or two more widths alive.
    n_widths = 5 if facts.n_swa else 4 if footprint.n_inner else 3
    scores = 0 if options.flash_attention else column * n_heads * _cells_seen(options)
    rows = column * (n_widths * facts.n_embd + 2 * n_heads * key + n_heads_kv * (key + value))
    return scores + rows


def _state_bytes_per_layer(footprint: ModelFootprint) -> int:
    facts = footprint.facts
    return (facts.state_bytes_per_sequence or 0) // max(1, sum(facts.layers.is_recurrent))
