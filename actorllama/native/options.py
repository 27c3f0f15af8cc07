"""How a model is loaded and how its context is laid out."""

from __future__ import annotations

from attrs import evolve, field, frozen, validators

__all__ = ["KV_TYPES", "ContextOptions", "ModelOptions"]

KV_TYPES: tuple[str, ...] = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""KV element types that llama.cpp accepts, by their names in ggml."""

_MAX_SEQ = 256  # LLAMA_MAX_SEQ; above it llama.cpp refuses the context


@frozen(kw_only=True)
class ModelOptions:
    """How the weights are loaded."""

    n_gpu_layers: int = field(default=-1, validator=validators.ge(-1))
    """Layers kept on a GPU; -1 is all of them. Without a GPU it changes nothing."""
    use_mmap: bool = True
    """Map the file instead of reading it."""
    use_mlock: bool = False
    """Keep the weights from being swapped out."""
    check_tensors: bool = False
    """Let llama.cpp look for NaN and infinities while loading (slower)."""


@frozen(kw_only=True)
class ContextOptions:
    """How many sequences a context holds, how long each may be, and how it computes.

    ``layout`` and ``flash_attention`` decide what can be promised (llama-notes: isolated without
    flash attention is bit-exact on CPU whatever runs beside a sequence).
    """

    n_seq: int = field(default=8, validator=[validators.ge(1), validators.le(_MAX_SEQ)])
    """Sequences that can live at once."""
    ctx_per_seq: int = field(default=2048, validator=[validators.ge(8), validators.le(1 << 24)])
    """Tokens that each sequence can hold; llama.cpp rounds it up to a multiple of 256."""
    n_batch: int = field(default=512, validator=[validators.ge(2), validators.le(1 << 16)])
    """Tokens of one step at most: bounds how long a step, and so a cancellation, can take."""
    n_ubatch: int = field(default=512, validator=[validators.ge(1), validators.le(1 << 16)])
    """Tokens that llama.cpp computes at once inside a step."""
    n_threads: int = field(default=0, validator=[validators.ge(0), validators.le(1024)])
    """CPU threads; 0 is one per core that this process may use."""
    flash_attention: bool = False
    """Fused attention: 5 to 10 % faster on CPU, at the price of ``exact``."""
    layout: str = field(default="isolated", validator=validators.in_(("isolated", "shared")))
    """``isolated``: a KV stream per sequence; ``shared``: one pool of cells for all."""
    type_k: str = field(default="f16", validator=validators.in_(KV_TYPES))
    """Element type of the cached keys."""
    type_v: str = field(default="f16", validator=validators.in_(KV_TYPES))
    """Element type of the cached values; quantised ones need ``flash_attention``."""

    @property
    def n_ctx(self) -> int:
        """Cells of the whole context, as llama.cpp counts them."""
        return self.padded_ctx_per_seq * self.n_seq

    @property
    def padded_ctx_per_seq(self) -> int:
        """``ctx_per_seq`` rounded up to the 256 cells that llama.cpp allocates in."""
        return -(-self.ctx_per_seq // 256) * 256

    def with_batch_for_sequences(self) -> ContextOptions:
        """Widen ``n_batch`` so that every sequence can decode in one step."""
        return self if self.n_batch > self.n_seq else evolve(self, n_batch=self.n_seq + 1)
