"""Everything outside Python: the backend seam, llama.cpp behind it, GGUF files, options.

**What lives here.** ``backend.py``: the protocols that engines are written against. ``llama/``: the
only package that imports llama_cpp and touches ctypes (``binding.py`` loads its C layer without the
package around it, ``kept_threads.py`` keeps its compute threads). ``gguf.py``: reading a model file without
loading it. ``sampling.py``, ``rng.py``: what a turn asks of its sampler, and the generator behind
it. ``state_blocks.py``, ``state_join.py``: saved states cut into blocks that others can share, and joined.
``lease.py``: native memory is freed exactly once, after the last thread has left it. ``run_delay.py``: how
long a thread waited for a processor.

**Who owns it and what always holds.** A native object belongs to one thread; ``close`` and ``abort``
may come from any. Every integer and path is checked before it reaches C, because a failed assertion
in C ends the process. Foreign errors are translated here, once.

**What it may import.** ``errors``, ``ids``, ``options``, ``telemetry``; numpy, gguf, and (in
``llama/`` only) llama_cpp. Never trio, actors or caches.

**Why this way, and what we refused.** llama-cpp-python's ``Llama`` class holds one sequence and one
lock; its ctypes layer gives the whole API. cffi or a C extension would be faster per call and need
a compiler of their own. Importing this door does not load llama.cpp: ``native.llama`` does.

**Read next.** ``backend.py``, then ``llama/context.py``.
"""

from __future__ import annotations

from actorllama.native.backend import (
    Backend,
    BuildInfo,
    ContextFacts,
    InferenceContext,
    ModelFacts,
    NativeModel,
    NativeSampler,
    StateCutter,
    StepBatch,
    Vocabulary,
)
from actorllama.native.options import ContextOptions, ModelOptions
from actorllama.native.sampler_record import SamplerRecord
from actorllama.native.sampling import SamplingParams
from actorllama.native.state_blocks import split_state
from actorllama.native.state_join import join_state
from actorllama.native.state_layout import section_kinds
from actorllama.native.state_part import float_rows
from actorllama.native.state_parts import Allocate, FloatRows, StateParts, fresh_memory
from actorllama.native.state_reader import SectionKind

__all__ = [
    "Allocate",
    "Backend",
    "BuildInfo",
    "ContextFacts",
    "ContextOptions",
    "FloatRows",
    "InferenceContext",
    "ModelFacts",
    "ModelOptions",
    "NativeModel",
    "NativeSampler",
    "SamplerRecord",
    "SamplingParams",
    "SectionKind",
    "StateCutter",
    "StateParts",
    "StepBatch",
    "Vocabulary",
    "float_rows",
    "fresh_memory",
    "join_state",
    "section_kinds",
    "split_state",
]
