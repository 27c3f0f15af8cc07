"""What this llama.cpp build makes of each architecture: which it runs, which keep what kind of state.

Source: `src/llama-arch.cpp` (`LLM_ARCH_NAMES`, `llm_arch_is_recurrent`, `llm_arch_is_hybrid`,
`llm_arch_is_diffusion`) and `load_arch_hparams` in `src/models/` of the llama.cpp in llama-cpp-python 0.3.36.
The tests compare the names with that source where it is at hand.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

from attrs import frozen

__all__ = [
    "ARCHITECTURES",
    "EQUAL_HEADS",
    "FULL_ATTENTION_INTERVAL",
    "FUZZED",
    "HEADS_FILL_WIDTH",
    "HYBRID",
    "MAMBA2",
    "RECURRENT",
    "REFUSED",
    "ROTATES_WHOLE_HEAD",
    "SLIDING_WINDOW",
    "Family",
    "SlidingWindow",
]

Family = Literal["dense", "sliding_window", "recurrent", "hybrid", "encoder"]
"""How a model remembers: per token; per token within a window; in a state of fixed size; both; not at all."""

RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})

_HYBRID_NAMES: Final = """
    jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe qwen3next kimi-linear
    bailingmoe3 kimi-k3 glm5-next qwen35 qwen35moe qwen4exp deepseek4 minimax-01
"""
HYBRID: Final = frozenset(_HYBRID_NAMES.split())

_DENSE_NAMES: Final = """
    llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2
    qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo plamo3 codeshell orion internlm2
    minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 starcoder2 maple xverse command-r cohere2 cohere2moe
    dbrx olmo olmo2 olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 chatglm glm4
    glm4moe glm-dsa bitnet jais jais2 nemotron exaone exaone4 exaone-moe granite granitemoe graniteswitch
    granite_swa chameleon plm bailingmoe bailingmoe2 dots1 dots3note arcee afmoe laguna ernie4_5 ernie4_5-moe
    hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss smallthinker seed_oss grovemoe apertus
    minimax-m2 minimax-m3 hrm_text cogvlm pangu-embedded mistral3 mistral4 paddleocr mimo2 step35 spark2_5
    maincoder talkie mellum nanbeige
"""

ARCHITECTURES: Final = HYBRID.union(RECURRENT, _DENSE_NAMES.split())
"""Text models that this build loads and decodes token by token."""

# What llama.cpp asserts of a head when it builds an architecture's graph (`src/models/*.cpp`).
_ROTATES_WHOLE_HEAD_NAMES: Final = """
    apertus arcee arctic baichuan chameleon codeshell cogvlm cohere2moe dbrx deci deepseek dots1 ernie4_5
    ernie4_5-moe exaone exaone-moe exaone4 falcon granite granite_swa graniteswitch grok grovemoe
    hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 internlm2 jais2 llama llama4 maincoder mellum mistral3 olmo
    olmo2 olmoe orion paddleocr pangu-embedded plamo qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl
    qwen3vlmoe seed_oss smallthinker smollm3 starcoder2 talkie xverse
"""
ROTATES_WHOLE_HEAD: Final = frozenset(_ROTATES_WHOLE_HEAD_NAMES.split())
"""The rotated part of a head must be the whole head."""

_EQUAL_HEAD_NAMES: Final = """
    afmoe apertus arcee arctic baichuan bailingmoe2 bitnet bloom chameleon chatglm codeshell cogvlm cohere2
    cohere2moe command-r dbrx deci deepseek dots1 ernie4_5 ernie4_5-moe exaone falcon glm4 glm4moe gpt2
    gptneox granite granite_swa granitehybrid graniteswitch grok grovemoe hunyuan-dense hunyuan-moe
    hunyuan_vl hy_v3 internlm2 jais jais2 jamba laguna lfm2 lfm2moe llama llama4 maincoder mellum minimax-01
    minimax-m2 minimax-m3 mistral3 mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe olmo olmo2
    olmoe openelm orion paddleocr pangu-embedded phi2 phi3 plamo qwen qwen2 qwen2moe qwen2vl qwen3 qwen35
    qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe qwen4exp refact seed_oss smallthinker smollm3 spark2_5
    stablelm starcoder starcoder2 xverse
"""
EQUAL_HEADS: Final = frozenset(_EQUAL_HEAD_NAMES.split())
"""A head's keys and its values must have the same width."""

_HEADS_FILL_WIDTH_NAMES: Final = """
    arctic baichuan chameleon codeshell cohere2 command-r deepseek deepseek2-ocr grok internlm2 jamba lfm2
    lfm2moe nemotron olmo olmo2 olmoe orion phi2 phi3 phimoe plamo qwen2 qwen2moe qwen2vl stablelm starcoder2
    xverse
"""
HEADS_FILL_WIDTH: Final = frozenset(_HEADS_FILL_WIDTH_NAMES.split())
"""All heads together must be as wide as the model: tensors are only compared with the model's width."""

MAMBA2: Final = frozenset({"mamba2", "falcon-h1", "granitehybrid", "nemotron_h", "nemotron_h_moe"})
"""State spaces in groups, with a bias on their convolution."""

FULL_ATTENTION_INTERVAL: Final = MappingProxyType(
    {"minimax-01": 8, "qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4}
)
"""Hybrids that attend in every so-many-th layer, and their default; the others say it by KV heads of 0."""

FUZZED: Final = frozenset(
    {"llama", "qwen2", "qwen3", "gemma3", "mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid"}
)
"""Architectures whose damaged files were tried by the ten thousand: rules alone keep llama.cpp alive."""

_ENCODER_NAMES: Final = """
    bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding
    t5encoder llama-embed
"""
_ENCODER_HINT: Final = "It makes embeddings and writes no text: load a language model instead."
_DIFFUSION_HINT: Final = (
    "It writes by diffusion and keeps no cache to resume from: load an autoregressive model."
)
_SPEECH_HINT: Final = "It makes sound: load a language model instead."
_DRAFT_HINT: Final = "It only drafts for another model: load that model instead."

REFUSED: Final = MappingProxyType[str, str](
    {
        **dict.fromkeys(_ENCODER_NAMES.split(), _ENCODER_HINT),
        **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), _DIFFUSION_HINT),
        **dict.fromkeys(("wavtokenizer-dec", "qwen3tts", "pockettts"), _SPEECH_HINT),
        **dict.fromkeys(("gemma4-assistant", "eagle3", "dflash"), _DRAFT_HINT),
        "clip": "It is the projector of a multimodal model: load the language model that it came with.",
        "t5": "It is an encoder-decoder, whose state is not saved whole: load a decoder-only model.",
        "gptj": "llama.cpp knows its name but cannot run it: load another model.",
    }
)
"""Architectures that llama.cpp knows and that no conversation can be held with, and what to do."""


@frozen(kw_only=True)
class SlidingWindow:
    """Which layers of an architecture look back only so far, where the file does not say it layer by layer.

    ``default_n`` is the window if the file names none (0: then there is none). ``period`` is the distance
    from one layer with full attention to the next; 0 if the file must give a table. ``is_fixed``: the
    file's number only switches the window on.
    """

    default_n: int = 0
    period: int = 0
    is_dense_first: bool = False
    is_fixed: bool = False


SLIDING_WINDOW: Final = MappingProxyType[str, SlidingWindow](
    {
        "afmoe": SlidingWindow(period=4),
        "cohere2": SlidingWindow(period=4),
        "cohere2moe": SlidingWindow(period=4, is_dense_first=True),
        "exaone-moe": SlidingWindow(period=4),
        "exaone4": SlidingWindow(default_n=4096, period=4),
        "gemma2": SlidingWindow(default_n=4096, period=2),
        "gemma3": SlidingWindow(period=6),
        "gemma3n": SlidingWindow(period=5),
        "gemma4": SlidingWindow(),
        "gpt-oss": SlidingWindow(period=2),
        "granite_swa": SlidingWindow(),
        "laguna": SlidingWindow(period=4, is_dense_first=True),
        "lfm2": SlidingWindow(period=1 << 30),
        "lfm2moe": SlidingWindow(period=1 << 30),
        "llama4": SlidingWindow(default_n=8192, period=4, is_fixed=True),
        "maple": SlidingWindow(),
        "mellum": SlidingWindow(period=4),
        "mimo2": SlidingWindow(),
        "muse-glimmer": SlidingWindow(period=4),
        "olmo2": SlidingWindow(period=4),
        "plamo3": SlidingWindow(period=8),
        "smallthinker": SlidingWindow(default_n=4096, period=4, is_dense_first=True, is_fixed=True),
        "spark2_5": SlidingWindow(),
        "step35": SlidingWindow(),
        "dots3note": SlidingWindow(),
    }
)
