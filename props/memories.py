"""Kinds of memory that llama.cpp has, each on a tiny random model."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import Final

from attrs import evolve, frozen

from actorllama import demo
from actorllama.runtime import LoadOptions
from actorllama.testing.random_models import cached_random_model
from actorllama.testing.random_shapes import WeightType, shape_named

__all__ = ["CTX", "CTX_MOST", "DEMO", "MEMORIES", "N_SEQ", "Memory"]

N_SEQ: Final = 3
CTX: Final = 96
CTX_MOST: Final = 320  # no text here fills this
_N_UBATCH: Final = 64  # states know it, and llama.cpp takes less where a whole context has less
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@frozen(kw_only=True)
class Memory:
    """A model's family, and how its context keeps what the model remembers."""

    family: str
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = False
    layout: str = "isolated"
    weights: WeightType = "Q8_0"

    def __str__(self) -> str:
        """Name it as a test's parameter."""
        flash = "-flash" if self.flash_attention else ""
        return f"{self.family}-{self.weights}-{self.type_k}-{self.type_v}{flash}-{self.layout}"

    @property
    def path(self) -> Path:
        """Its model file, written on first use and kept for the next run."""
        if self.family == "demo":
            return demo.model_path()
        root = Path(gettempdir()) / "actorllama-props"
        shape = evolve(shape_named(self.family), weights=self.weights)
        return cached_random_model(root, shape, seed=3, chat_template=_CHATML)

    def options(self, *, n_seq: int = N_SEQ, ctx_per_seq: int = CTX) -> LoadOptions:
        """Say how its context is opened."""
        return {
            "n_ubatch": _N_UBATCH,
            # One sequence alone has no row beside its own: with such weights it is exact in another way.
            "n_seq": max(n_seq, 2) if self.lends_cells else n_seq,
            "ctx_per_seq": ctx_per_seq,
            "n_threads": 1,
            "layout": self.layout,
            "flash_attention": self.flash_attention,
            "type_k": self.type_k,
            "type_v": self.type_v,
        }

    @property
    def lends_cells(self) -> bool:
        """Whether each sequence leaves a cell free, so that no row of its neighbours is computed alone."""
        is_plain = self.family in ("llama", "qwen2", "qwen3") and self.layout == "isolated"
        return is_plain and self.weights in ("F32", "F16")


DEMO: Final = Memory(family="demo")
MEMORIES: Final = (
    Memory(family="llama"),
    Memory(family="qwen2"),
    Memory(family="qwen3"),
    Memory(family="gemma3"),
    Memory(family="mamba"),
    Memory(family="jamba"),
    Memory(family="lfm2"),
    Memory(family="falcon-h1"),
    Memory(family="granitehybrid"),
    Memory(family="llama", weights="F32"),
    Memory(family="llama", weights="F16"),
    Memory(family="llama", weights="Q4_0"),
    Memory(family="llama", type_k="q8_0"),
    Memory(family="gemma3", type_k="q8_0"),
    Memory(family="llama", flash_attention=True),
    Memory(family="qwen3", type_k="q8_0", type_v="q8_0", flash_attention=True),
    Memory(family="gemma3", type_k="q8_0", type_v="q8_0", flash_attention=True),
    Memory(family="qwen3", layout="shared"),
    Memory(family="mamba", layout="shared"),
)
