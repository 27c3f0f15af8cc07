"""Kinds of memory that llama.cpp has, each on a tiny random model, and the level that its canary finds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Final

import trio
from attrs import frozen

from actorllama import demo
from actorllama.engine import Exactness
from actorllama.runtime import LoadOptions, verify_model
from actorllama.testing.random_models import cached_random_model

__all__ = ["CTX", "DEMO", "MEMORIES", "N_SEQ", "Memory"]

N_SEQ: Final = 3
CTX: Final = 96
_VERIFIED_CTX = 640  # the canary needs 520 cells to see all that changes with the length
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

    def __str__(self) -> str:
        """Name it as a test's parameter."""
        flash = "-flash" if self.flash_attention else ""
        return f"{self.family}-{self.type_k}-{self.type_v}{flash}-{self.layout}"

    @property
    def path(self) -> Path:
        """Its model file, written on first use and kept for the next run."""
        if self.family == "demo":
            return demo.model_path()
        root = Path(gettempdir()) / "actorllama-props"
        return cached_random_model(root, self.family, seed=3, chat_template=_CHATML)

    def options(self, *, ctx_per_seq: int = CTX) -> LoadOptions:
        """Say how its context is opened."""
        return {
            "n_seq": N_SEQ,
            "ctx_per_seq": ctx_per_seq,
            "n_threads": 1,
            "layout": self.layout,
            "flash_attention": self.flash_attention,
            "type_k": self.type_k,
            "type_v": self.type_v,
        }

    @property
    def level(self) -> Exactness:
        """What ``actorllama verify`` finds for it."""
        return _level_of(self)


@cache
def _level_of(memory: Memory) -> Exactness:
    async def verify() -> Exactness:
        return (await verify_model(memory.path, memory.options(ctx_per_seq=_VERIFIED_CTX))).level

    return trio.run(verify)


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
    Memory(family="llama", type_k="q8_0"),
    Memory(family="gemma3", type_k="q8_0"),
    Memory(family="llama", flash_attention=True),
    Memory(family="qwen3", type_k="q8_0", type_v="q8_0", flash_attention=True),
    Memory(family="gemma3", type_k="q8_0", type_v="q8_0", flash_attention=True),
    Memory(family="qwen3", layout="shared"),
    Memory(family="mamba", layout="shared"),
)
