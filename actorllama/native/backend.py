"""The seam to whatever computes: llama.cpp in production, a fake in the test kit.

A backend implements all of these protocols; there are no optional methods to probe for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from actorllama.native.memory_devices import BufferSize, ComputeDevice
from actorllama.native.options import ContextOptions, ModelOptions
from actorllama.native.sampler_record import SamplerRecord
from actorllama.native.sampling import SamplingParams
from actorllama.native.state_parts import Allocate, FloatRows, StateParts, fresh_memory

__all__ = [
    "Backend",
    "BuildInfo",
    "ContextFacts",
    "InferenceContext",
    "ModelFacts",
    "NativeModel",
    "NativeSampler",
    "StateCutter",
    "StepBatch",
    "Vocabulary",
]


@frozen(kw_only=True)
class BuildInfo:
    """What was built, and for which machine."""

    library: str
    version: str
    has_openmp: bool
    """libgomp's pools slow each other down (llama-notes 0); True means: warn the user."""
    devices: tuple[str, ...]
    """Compute devices that llama.cpp found, CPU included."""
    system_info: str
    max_seq: int


@frozen(kw_only=True)
class ModelFacts:
    """What the weights file says, once loaded."""

    path: str
    description: str
    architecture: str
    name: str
    n_vocab: int
    n_ctx_train: int
    n_embd: int
    n_layer: int
    n_swa: int
    n_params: int
    weights_bytes: int
    is_recurrent: bool
    is_hybrid: bool
    bos: int | None
    eos: int | None
    bos_text: str
    """How the beginning-of-sequence token is spelled in templates; empty if there is none."""
    eos_text: str
    chat_template: str | None
    fingerprint: str
    """Hex digest that names the file's content."""
    buffers: tuple[BufferSize, ...] = ()
    """What the weights take, and where; empty where the library does not tell."""


@frozen(kw_only=True)
class ContextFacts:
    """The layout that a context really got."""

    n_seq: int
    ctx_per_seq: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    layout: str
    flash_attention: bool
    is_exact_by_nature: bool = False
    """Whether the backend's arithmetic cannot differ in its last bits, so that nothing need be tried."""
    buffers: tuple[BufferSize, ...] = ()
    """What the context takes, and where; empty where the library does not tell."""


@frozen(kw_only=True)
class StepBatch:
    """The tokens of one native call, as columns of equal length.

    Row ``i`` puts ``tokens[i]`` at ``positions[i]`` of sequence ``seq_ids[i]``. ``outputs`` lists the
    rows whose logits are wanted, ascending; logits row ``j`` belongs to batch row ``outputs[j]``.
    """

    tokens: Sequence[int]
    positions: Sequence[int]
    seq_ids: Sequence[int]
    outputs: Sequence[int]


class StateCutter(Protocol):
    """Takes saved states of one kind of context apart and puts them together; immutable, any thread."""

    @property
    def has_blocks(self) -> bool:
        """Whether rows of tokens can be cut out at all."""
        ...

    @property
    def needs_boundary(self) -> bool:
        """Whether a part of a state cannot be cut: a sliding window, a recurrent state."""
        ...

    def split(
        self,
        data: memoryview,
        *,
        block_tokens: int,
        first_block: int = 0,
        allocate: Allocate = fresh_memory,
    ) -> StateParts:
        """Cut a state into full blocks, from ``first_block`` on, and what follows the last of all.

        Args:
            data: As the context wrote it.
            block_tokens: Tokens of a block.
            first_block: Those before it are not wanted.
            allocate: Gives the memory of each part, which is written once.

        Raises:
            StateError: It is no such state.
        """
        ...

    def float_rows(self, part: memoryview) -> tuple[FloatRows, ...]:
        """Say where in a part the rows of f16 and f32 lie: what may be rounded, if anything is."""
        ...

    def join(
        self,
        blocks: Iterable[memoryview],
        boundary: memoryview | None,
        *,
        n_blocks: int | None = None,
        allocate: Allocate = fresh_memory,
    ) -> memoryview:
        """Make a state that ``set_state`` of such a context accepts.

        Args:
            blocks: From the first on, without a gap. Of what is no sequence, none is looked at any more once
                the next is asked for: they may all come in the same memory.
            boundary: What follows them.
            n_blocks: How many blocks will come; only of a sequence may it be left out.
            allocate: Gives the memory of the whole; called once.

        Raises:
            StateError: The parts do not fit together, or are not so many.
        """
        ...


class Vocabulary(Protocol):
    """Text to token ids and back. Immutable; may be used from any thread."""

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the model behind it has been freed."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """The token ids that end a generation."""
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Cut text into token ids; ``parse_special`` reads control tokens spelled in the text."""
        ...

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token adds to the text; control tokens add none."""
        ...

    def is_end(self, token: int) -> bool:
        """Say whether the token ends a generation."""
        ...


class NativeSampler(Protocol):
    """The sampler of one turn: filters, penalties' history and random generator."""

    @property
    def n_draws(self) -> int:
        """Random numbers drawn so far; with the seed, the whole state of the generator."""
        ...

    def accept(self, token: int) -> None:
        """Tell the stateful filters that this token is part of the text."""
        ...

    def record(self) -> SamplerRecord:
        """Return everything that decides the next token beside its logits."""
        ...

    def close(self) -> None:
        """Free what is native about it; safe to call again."""
        ...


class InferenceContext(Protocol):
    """One llama.cpp context. Owner: one thread; only ``abort`` and ``close`` may come from others."""

    @property
    def facts(self) -> ContextFacts:
        """The layout that this context really got."""
        ...

    @property
    def cutter(self) -> StateCutter:
        """What takes its states apart, in any thread."""
        ...

    def decode(self, batch: StepBatch) -> None:
        """Compute one batch.

        Raises:
            DecodeError: llama.cpp said no; ``is_retryable`` says whether memory is as before.
        """
        ...

    def sample(self, samplers: Sequence[NativeSampler], rows: Sequence[int]) -> list[int]:
        """Choose a token for each pair of sampler and logits row of the last batch, and accept it."""
        ...

    def logits_digest(self, row: int) -> bytes:
        """Return a digest of one raw logits row of the last batch: equal only if every bit is."""
        ...

    def new_sampler(self, params: SamplingParams, history: Sequence[int]) -> NativeSampler:
        """Make a turn's sampler; ``history`` are the tokens that penalties start from."""
        ...

    def restore_sampler(self, record: SamplerRecord) -> NativeSampler:
        """Make a sampler that goes on exactly where the recorded one stood.

        Raises:
            StateError: The record is of another vocabulary, or holds what no sampler can have.
        """
        ...

    def clear_sequence(self, seq_id: int) -> None:
        """Forget everything about one sequence."""
        ...

    def remove_cells(self, seq_id: int, first: int, end: int) -> bool:
        """Forget positions ``[first, end)``; False if this memory cannot do it."""
        ...

    def rollback(self, seq_id: int, n_keep: int) -> bool:
        """Take back all but the first ``n_keep`` tokens, as if the rest had never been decoded.

        Returns:
            False if this memory cannot do that; the sequence is then as it was.

        Raises:
            StateError: The sequence holds fewer tokens.
        """
        ...

    def position_range(self, seq_id: int) -> tuple[int, int] | None:
        """Return the smallest and largest position held, or ``None`` if the sequence is empty."""
        ...

    def state_bytes(self, seq_id: int) -> int:
        """Return how many bytes ``get_state`` will write."""
        ...

    def get_state(self, seq_id: int, into: memoryview) -> int:
        """Copy a sequence's state into a writable buffer; return the bytes written."""
        ...

    def set_state(self, seq_id: int, data: memoryview, *, n_cells: int) -> None:
        """Replace a sequence's state by one that holds positions ``0 .. n_cells - 1``.

        Raises:
            StateError: It is not such a state of this context; the sequence is empty.
        """
        ...

    def logprobs(self, row: int, chosen: int, n: int) -> tuple[float, tuple[tuple[int, float], ...]]:
        """Return the log-probability of a token and the ``n`` best, from one raw logits row."""
        ...

    def abort(self) -> None:
        """Make a running ``decode`` stop soon; the context must be closed afterwards."""
        ...

    def close(self) -> None:
        """Free the context once no thread is inside it; safe to call again."""
        ...


class NativeModel(Protocol):
    """Loaded weights with their vocabulary."""

    @property
    def facts(self) -> ModelFacts:
        """What the file says."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Text to token ids and back."""
        ...

    def open_context(self, options: ContextOptions) -> InferenceContext:
        """Allocate a context.

        Raises:
            ModelLoadError: No memory, or a combination that llama.cpp does not have.
        """
        ...

    def close(self) -> None:
        """Free the weights once no context and no thread uses them; safe to call again."""
        ...


class Backend(Protocol):
    """Whatever can load a model."""

    def build_info(self) -> BuildInfo:
        """Describe the library."""
        ...

    def devices(self) -> tuple[ComputeDevice, ...]:
        """List the devices that it can compute on, by the names that ``buffers`` use.

        Cost: may open a driver, a tenth of a second: call it in a thread.
        """
        ...

    def load(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool]) -> NativeModel:
        """Load weights; ``on_progress`` gets 0 to 1 and may return False to stop.

        Raises:
            ModelLoadError: With the path and the reason.
        """
        ...
