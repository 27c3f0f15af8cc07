"""One llama.cpp context: batches, sequences and their saved states."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import cast

import numpy as np

from actorllama.errors import DecodeError, ModelLoadError, StateError
from actorllama.native.backend import ContextFacts, ModelFacts, NativeSampler, StepBatch
from actorllama.native.cpus import plan_threads, usable_cpus
from actorllama.native.lease import Lease
from actorllama.native.llama.batch_columns import BatchColumns
from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.kept_threads import KeptThreads
from actorllama.native.llama.library import LlamaLibrary, held_gil
from actorllama.native.llama.logprobs import top_logprobs
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.memory_devices import buffer_sizes
from actorllama.native.options import ContextOptions
from actorllama.native.sampler_record import SamplerRecord
from actorllama.native.sampling import SamplingParams
from actorllama.native.state_cutter import LayoutCutter
from actorllama.native.state_layout import StateLayout, check_state, read_state, section_kinds
from actorllama.native.state_reader import SectionSpan
from actorllama.native.state_window import first_real_position, padded_window, window_cells

__all__ = ["LlamaContext"]

Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Row = np.ndarray[tuple[int], np.dtype[np.float32]]

_GGML_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30,
}  # fmt: skip
_get_logits = held_gil("llama_get_logits", restype=ctypes.c_void_p)
_seq_rm = held_gil("llama_memory_seq_rm")
_seq_pos_min = held_gil("llama_memory_seq_pos_min")
_seq_pos_max = held_gil("llama_memory_seq_pos_max")


class LlamaContext:
    """A ``llama_context`` and the buffers of its batches.

    Owner: one thread at a time, the engine host's. ``abort`` and ``close`` may come from any thread:
    the memory is freed when the last call inside has returned.
    """

    def __init__(
        self,
        library: LlamaLibrary,
        model: int,
        model_facts: ModelFacts,
        options: ContextOptions,
        *,
        on_freed: Callable[[], None],
    ) -> None:
        """Allocate the context; ``on_freed`` runs once its memory is gone."""
        options = options.with_batch_for_sequences()
        self._abort_flag = ctypes.create_string_buffer(2)
        with library.collecting_lines() as lines:
            handle = _open(library, model, model_facts, options, self._abort_flag)
        self._handle = handle
        self._memory = llama_cpp.llama_get_memory(handle)
        self._n_vocab = model_facts.n_vocab
        # The model outlives its contexts (on_freed), and so does its vocabulary.
        vocab = llama_cpp.llama_model_get_vocab(model)
        self._sampler_tools = SamplerTools(n_vocab=model_facts.n_vocab, vocab=vocab)
        self._facts = _read_facts(handle, options, lines)
        self._section_kinds = section_kinds(model_facts)
        self._n_swa = model_facts.n_swa
        self._layout: StateLayout | None = None
        self._n_window_cells = window_cells(
            n_ctx_seq=int(llama_cpp.llama_n_ctx_seq(handle)),
            n_swa=model_facts.n_swa,
            n_ubatch=self._facts.n_ubatch,
            is_full=bool(llama_cpp.llama_context_default_params().swa_full),
        )
        # Where the rows of a restored window begin: before it lie zeros that no query may look at.
        self._first_real: dict[int, int] = {}

        n_kept = self._facts.n_threads if options.keeps_threads else 1
        threads = self._threads = KeptThreads(handle, n_threads=n_kept)

        def free() -> None:
            llama_cpp.llama_free(handle)
            threads.let_go()
            on_freed()

        self._lease = Lease(what=f"context of {model_facts.name or model_facts.path}", free=free)
        self._n_outputs = 0
        self._has_rows = False
        self._rows_at = (0, 0)
        self._rows: Rows = np.zeros((0, 0), dtype=np.float32)
        self._columns = BatchColumns(self._facts.n_batch)

    @property
    def facts(self) -> ContextFacts:
        """The layout that this context really got."""
        return self._facts

    @property
    def cutter(self) -> LayoutCutter:
        """What takes its states apart, in any thread."""
        n_stream = 1 if self._facts.layout == "shared" else self._facts.n_seq
        return LayoutCutter(kinds=self._section_kinds, n_stream=n_stream)

    def decode(self, batch: StepBatch) -> None:
        """Compute one batch; on failure say whether the memory is as it was before.

        Raises:
            DecodeError: 1 is no room (retryable), all else leaves doubtful cells behind.
            StateError: Too many tokens or none, or columns of different lengths.
        """
        columns = self._columns.fill(batch)
        self._lease.enter()
        try:
            self._threads.use()
            code = llama_cpp.llama_decode(self._handle, columns)
        finally:
            self._lease.leave()
        if code != 0:
            raise DecodeError(code=code, is_retryable=code == 1)
        self._threads.computed()
        self._n_outputs = len(batch.outputs)
        self._has_rows = False

    def logits(self) -> Rows:
        """Return the last batch's logits, shape ``(n_outputs, n_vocab)``, float32.

        A view into llama.cpp's own buffer: valid until the next ``decode``, and nothing is copied.
        """
        if not self._has_rows:
            with self._lease.use():
                address = _get_logits(self._handle)
            if not address or not self._n_outputs:
                raise StateError(operation="logits", reason="the last batch asked for none")
            # llama.cpp keeps its buffer from step to step; making a view of it anew costs 50 µs.
            if (address, self._n_outputs) != self._rows_at:
                self._rows_at = (address, self._n_outputs)
                n_values = self._n_outputs * self._n_vocab
                values = (ctypes.c_float * n_values).from_address(address)
                self._rows = np.ctypeslib.as_array(values).reshape(self._n_outputs, self._n_vocab)
            self._has_rows = True
        return self._rows

    def sample(self, samplers: Sequence[NativeSampler], rows: Sequence[int]) -> list[int]:
        """Choose and accept a token for each pair of sampler and logits row of the last batch."""
        # Every sampler that an owner of this context has was made by its new_sampler.
        ours = cast("Sequence[LlamaSampler]", samplers)
        matrix, crowd = self.logits(), self._sampler_tools.crowd
        chosen: list[int] = []
        while (at := len(chosen)) < len(ours):
            if not ours[at].crowd_k:
                chosen.append(ours[at].choose(matrix[rows[at]]))
                continue
            end = at + 1
            while end < len(ours) and ours[end].crowd_k and rows[end] == rows[end - 1] + 1:
                end += 1
            chosen += crowd.choose(matrix[rows[at] : rows[at] + end - at], ours[at:end])
        return chosen

    def logits_digest(self, row: int) -> bytes:
        """Return a digest of one raw logits row of the last batch: equal only if every bit is."""
        return blake2b(self.logits()[row].tobytes(), digest_size=16).digest()

    def new_sampler(self, params: SamplingParams, history: Sequence[int]) -> LlamaSampler:
        """Make a turn's sampler; ``history`` are the tokens that penalties start from."""
        return LlamaSampler(params, history, tools=self._sampler_tools)

    def restore_sampler(self, record: SamplerRecord) -> LlamaSampler:
        """Make a sampler that goes on exactly where the recorded one stood.

        Raises:
            StateError: The record is of another vocabulary, or holds what no sampler can have.
        """
        return LlamaSampler.from_record(record, tools=self._sampler_tools)

    def clear_sequence(self, seq_id: int) -> None:
        """Forget everything about one sequence."""
        self._check_seq("clear_sequence", seq_id)
        with self._lease.use():
            self._clear(seq_id)

    def remove_cells(self, seq_id: int, first: int, end: int) -> bool:
        """Forget positions ``[first, end)``; False if this memory cannot do it."""
        self._check_seq("remove_cells", seq_id)
        if not 0 <= first <= end:
            raise StateError(operation="remove_cells", reason=f"positions {first} to {end}")
        with self._lease.use():
            is_removed = bool(_seq_rm(self._memory, seq_id, first, end))
            if _seq_pos_max(self._memory, seq_id) < 0:
                self._first_real.pop(seq_id, None)
            return is_removed

    def rollback(self, seq_id: int, n_keep: int) -> bool:
        """Take back all but the first ``n_keep`` tokens, exactly; or say False and touch nothing.

        llama.cpp itself agrees to more than it can: of a sliding window it removes the rows behind
        ``n_keep`` although those before, which the window then looks at again, are gone (llama-notes 1.3).
        And rows that go are looked for from the first cell on: if they lie on both sides of the last cell,
        the next tokens would come to lie elsewhere than in a sequence that never had them.

        Raises:
            StateError: The sequence holds fewer tokens.
        """
        held = self.position_range(seq_id)
        n_held = 0 if held is None else held[1] + 1
        if not 0 <= n_keep <= n_held:
            raise StateError(operation="rollback", reason=f"{n_keep} of {n_held} tokens")
        if n_keep == n_held:
            return True
        if n_keep == 0:
            self.clear_sequence(seq_id)
            return True
        if "recurrent" in self._section_kinds:
            return False  # its one state has seen all the tokens
        if "window" in self._section_kinds:
            if self._facts.layout == "shared":
                return False  # another sequence may have taken any cell that had left the window
            # One row more than the next token looks at: a state that is saved now holds it too.
            if held is None or held[0] > max(0, n_keep - self._n_swa):
                return False
            if n_keep % self._n_window_cells + n_held - n_keep > self._n_window_cells:
                return False
        return self.remove_cells(seq_id, n_keep, n_held)

    def position_range(self, seq_id: int) -> tuple[int, int] | None:
        """Return the smallest and largest position held, or ``None`` if the sequence is empty."""
        self._check_seq("position_range", seq_id)
        with self._lease.use():
            last = _seq_pos_max(self._memory, seq_id)
            if last < 0:
                return None
            return max(_seq_pos_min(self._memory, seq_id), self._first_real.get(seq_id, 0)), last

    def state_bytes(self, seq_id: int) -> int:
        """Return how many bytes ``get_state`` will write."""
        self._check_seq("state_bytes", seq_id)
        with self._lease.use():
            return int(llama_cpp.llama_state_seq_get_size(self._handle, seq_id))

    def get_state(self, seq_id: int, into: memoryview) -> int:
        """Copy a sequence's state into a writable buffer; return the bytes written.

        Cost: 21 to 27 GB/s into pages touched before, 0.45 GB/s into fresh ones (llama-notes 0).
        """
        self._check_seq("get_state", seq_id)
        target = (ctypes.c_uint8 * into.nbytes).from_buffer(into)
        with self._lease.use():
            needed = int(llama_cpp.llama_state_seq_get_size(self._handle, seq_id))
            if needed > into.nbytes:
                raise StateError(operation="get_state", reason=f"{needed} bytes do not fit in {into.nbytes}")
            return int(llama_cpp.llama_state_seq_get_data(self._handle, target, into.nbytes, seq_id))

    def set_state(self, seq_id: int, data: memoryview, *, n_cells: int) -> None:
        """Replace a sequence's state by one that holds positions ``0 .. n_cells - 1``.

        llama.cpp accepts absurd positions and trailing garbage, so the structure is checked first
        (``state_layout.py``); flipped payload bytes are the business of the caller's checksum. In the
        isolated layout a sliding window's rows come into the cells that the unbroken run has them in
        (``state_window.py``), so that it goes on bit by bit.

        Raises:
            StateError: It is not such a state of this context; the sequence is empty.
        """
        self._check_seq("set_state", seq_id)
        self.clear_sequence(seq_id)
        spans = check_state(data, self._state_layout(seq_id), self._section_kinds, n_cells=n_cells)
        with self._lease.use():
            self._read_state(seq_id, data, flags=0)
            if self._facts.layout == "isolated":
                self._place_window(seq_id, data, spans, n_cells=n_cells)

    def _place_window(
        self, seq_id: int, data: memoryview, spans: Sequence[SectionSpan], *, n_cells: int
    ) -> None:
        n_cells_of_window = self._n_window_cells
        padded = padded_window(
            data, spans, n_cells=n_cells, n_window_cells=n_cells_of_window, n_stream=self._facts.n_seq
        )
        if padded is not None:
            self._read_state(seq_id, padded, flags=llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
            _seq_rm(self._memory, seq_id, n_cells, -1)
            self._first_real[seq_id] = first_real_position(spans, n_cells=n_cells)

    def _read_state(self, seq_id: int, data: memoryview, *, flags: int) -> None:
        source = np.frombuffer(data, dtype=np.uint8)
        pointer = source.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        n = int(llama_cpp.llama_state_seq_set_data_ext(self._handle, pointer, source.nbytes, seq_id, flags))
        if n != source.nbytes:
            # A second section that fails leaves the first in place (llama-notes 1.2).
            self._clear(seq_id)
            raise StateError(
                operation="set_state",
                reason=f"llama.cpp read {n} of {source.nbytes} bytes",
                hint="The sequence is empty; compute the prefix again.",
            )

    def _clear(self, seq_id: int) -> None:
        _seq_rm(self._memory, seq_id, -1, -1)
        self._first_real.pop(seq_id, None)

    def logprobs(self, row: int, chosen: int, n: int) -> tuple[float, tuple[tuple[int, float], ...]]:
        """Return the log-probability of a token and the ``n`` best, from one raw logits row."""
        return top_logprobs(self.logits()[row], chosen, n)

    def _state_layout(self, seq_id: int) -> StateLayout:
        """Learn how this context's states look from one that it writes itself; once, in an empty sequence."""
        if self._layout is None:
            self.decode(StepBatch(tokens=[0, 0], positions=[0, 1], seq_ids=[seq_id] * 2, outputs=[1]))
            buffer = memoryview(bytearray(self.state_bytes(seq_id)))
            self.get_state(seq_id, buffer)
            self.clear_sequence(seq_id)
            n_stream = 1 if self._facts.layout == "shared" else self._facts.n_seq
            sections = read_state(buffer, self._section_kinds, n_stream=n_stream)
            self._layout = StateLayout.of(sections, n_stream=n_stream)
        return self._layout

    def abort(self) -> None:
        """Make a running ``decode`` return soon; the context must be closed afterwards."""
        self._abort_flag[0] = b"\x01"

    def close(self) -> None:
        """Stop a running ``decode`` and free the context once no thread is inside it."""
        self.abort()
        self._lease.close()

    @property
    def is_freed(self) -> bool:
        """Whether the native memory has been given back."""
        return self._lease.is_freed

    def _check_seq(self, operation: str, seq_id: int) -> None:
        if not 0 <= seq_id < self._facts.n_seq:
            raise StateError(operation=operation, reason=f"sequence {seq_id} of {self._facts.n_seq}")


def _open(
    library: LlamaLibrary,
    model: int,
    model_facts: ModelFacts,
    options: ContextOptions,
    abort_flag: ctypes.Array[ctypes.c_char],
) -> int:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = options.n_ctx
    params.n_batch = options.n_batch
    params.n_ubatch = min(options.n_ubatch, options.n_batch)
    params.n_seq_max = options.n_seq
    params.n_threads = params.n_threads_batch = options.n_threads or plan_threads(
        n_cpus=usable_cpus(), weights_bytes=model_facts.weights_bytes
    )
    params.flash_attn_type = 1 if options.flash_attention else 0
    params.kv_unified = options.layout == "shared"
    params.type_k = _GGML_TYPES[options.type_k]
    params.type_v = _GGML_TYPES[options.type_v]
    params.no_perf = True
    # llama.cpp polls this between graph nodes, from a compute thread. A Python callback would take
    # the GIL thousands of times per step; strlen() of a two-byte buffer is the same question asked of
    # libc: 0 while the first byte is NUL, 1 once abort() has set it.
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
    params.abort_callback = type(params.abort_callback)(strlen)
    params.abort_callback_data = ctypes.cast(abort_flag, ctypes.c_void_p)
    with library.collecting_errors() as errors:
        handle = llama_cpp.llama_init_from_model(model, params)
    if not handle:
        reason = errors[-1] if errors else "llama.cpp gave no reason"
        raise ModelLoadError(
            path=model_facts.path,
            reason=f"no context of {options.n_seq} x {options.padded_ctx_per_seq} tokens: {reason}",
            hint="Lower n_seq or ctx_per_seq, or change the KV types.",
        )
    return int(handle) if isinstance(handle, int) else handle


def _read_facts(handle: int, options: ContextOptions, lines: Sequence[str]) -> ContextFacts:
    return ContextFacts(
        n_seq=options.n_seq,
        ctx_per_seq=min(options.ctx_per_seq, int(llama_cpp.llama_n_ctx_seq(handle))),
        n_batch=int(llama_cpp.llama_n_batch(handle)),
        n_ubatch=int(llama_cpp.llama_n_ubatch(handle)),
        n_threads=int(llama_cpp.llama_n_threads(handle)),
        layout=options.layout,
        flash_attention=options.flash_attention,
        buffers=buffer_sizes(lines),
    )
