"""How a model is loaded and how its context is laid out."""

from __future__ import annotations

from attrs import evolve, frozen

from actorllama.options import option

__all__ = ["KV_TYPES", "ContextOptions", "ModelOptions"]

KV_TYPES: tuple[str, ...] = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""KV element types that llama.cpp accepts, by their names in ggml."""

_MAX_SEQ = 256  # LLAMA_MAX_SEQ; above it llama.cpp refuses the context
_CELL_STEP = 256  # llama.cpp allocates cells in multiples of this


@frozen(kw_only=True)
class ModelOptions:
    """How the weights are loaded."""

    n_gpu_layers: int = option(
        -1,
        doc="Layers kept on a GPU; -1 is all. Without a GPU it changes nothing.",
        at_least=-1,
        at_most=10_000,
    )
    use_mmap: bool = option(True, doc="Map the file instead of reading it.")
    use_mlock: bool = option(False, doc="Keep the weights from being swapped out.")
    check_tensors: bool = option(False, doc="Look for NaN and infinities while loading; slower.")


@frozen(kw_only=True)
class ContextOptions:
    """How many sequences a context holds, how long each may be, and how it computes.

    ``layout`` and ``flash_attention`` decide what can be promised (llama-notes: isolated without
    flash attention is bit-exact on CPU whatever runs beside a sequence).
    """

    n_seq: int = option(8, doc="Sequences that can live at once.", at_least=1, at_most=_MAX_SEQ)
    ctx_per_seq: int = option(
        2048, doc="Tokens that each sequence can hold.", unit="tokens", at_least=8, at_most=1 << 24
    )
    n_batch: int = option(
        512,
        doc="Tokens of one step at most: bounds how long a step, and so a cancellation, can take.",
        unit="tokens",
        at_least=2,
        at_most=1 << 16,
    )
    n_ubatch: int = option(
        512,
        doc="Tokens that llama.cpp computes at once inside a step.",
        unit="tokens",
        at_least=3,
        at_most=1 << 16,
    )
    n_threads: int = option(
        0,
        doc="CPU threads; 0 is one per processor that this process may use, and one for tiny models.",
        at_least=0,
        at_most=512,
    )
    keeps_threads: bool = option(
        True, doc="Keep llama.cpp's compute threads from step to step; it starts new ones in each otherwise."
    )
    flash_attention: bool = option(False, doc="Fused attention: faster on CPU, but no longer exact.")
    layout: str = option(
        "isolated",
        doc="isolated: a KV stream per sequence; shared: one pool of cells for all.",
        one_of=("isolated", "shared"),
    )
    type_k: str = option("f16", doc="Element type of the cached keys.", one_of=KV_TYPES)
    type_v: str = option(
        "f16", doc="Element type of the cached values; quantised ones need flash_attention.", one_of=KV_TYPES
    )

    @property
    def n_ctx(self) -> int:
        """Cells of the whole context, as llama.cpp counts them."""
        return self.padded_ctx_per_seq * self.n_seq

    @property
    def padded_ctx_per_seq(self) -> int:
        """``ctx_per_seq`` rounded up to what llama.cpp allocates."""
        return -(-self.ctx_per_seq // _CELL_STEP) * _CELL_STEP

    def with_batch_for_sequences(self) -> ContextOptions:
        """Widen ``n_batch`` so that every sequence can decode in one step, with room for a prompt."""
        return self if self.n_batch >= self.n_seq + 2 else evolve(self, n_batch=self.n_seq + 2)
