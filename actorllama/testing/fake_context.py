"""A context that computes nothing and forgets nothing: lists of cells, checked as llama.cpp checks them."""

from __future__ import annotations

import math
import struct
import threading
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import pairwise

from actorllama.errors import DecodeError, StateError
from actorllama.native import (
    ContextFacts,
    ContextOptions,
    NativeSampler,
    SamplerRecord,
    SamplingParams,
    StepBatch,
)
from actorllama.native.lease import Lease
from actorllama.native.memory_devices import BufferSize
from actorllama.testing.fake_cutter import FakeCutter
from actorllama.testing.fake_faults import FakeFaults
from actorllama.testing.fake_language import N_VOCAB, FakeLanguage
from actorllama.testing.fake_ledger import FakeLedger
from actorllama.testing.fake_sampler import FakeSampler

__all__ = ["CELL_BYTES", "FakeContext"]

CELL_BYTES = 64  # what a cell of a fake context says that it takes
_MAGIC = b"FAKE"
_HEADER = struct.Struct("<4sI")


class FakeContext:
    """Sequences of cells, one list each; logits follow from the cells and nothing else.

    What llama.cpp refuses is refused: a token, sequence or position that does not fit gives the code that
    it would give. Two threads inside at once are an error, as are calls after ``close``.

    Owner: one thread at a time; ``abort`` and ``close`` may come from any.
    """

    def __init__(
        self,
        language: FakeLanguage,
        options: ContextOptions,
        *,
        faults: FakeFaults,
        ledger: FakeLedger,
        batches: list[StepBatch],
        on_freed: Callable[[], None],
        label: str = "CPU",
    ) -> None:
        """Allocate nothing, but say where it would lie; ``batches`` gets every batch that was computed."""
        options = options.with_batch_for_sequences()
        self._language = language
        self._faults = faults
        self._ledger = ledger
        self._batches = batches
        self._facts = ContextFacts(
            n_seq=options.n_seq,
            ctx_per_seq=options.ctx_per_seq,
            n_batch=options.n_batch,
            n_ubatch=min(options.n_ubatch, options.n_batch),
            n_threads=1,
            layout=options.layout,
            flash_attention=options.flash_attention,
            is_exact_by_nature=True,  # it computes with integers
            buffers=(BufferSize(label=label, what="KV", n_bytes=CELL_BYTES * options.n_ctx),),
        )
        # Position and token of each cell in turn.
        self._cells = [array("q") for _ in range(options.n_seq)]
        self._rows: list[array[int]] | None = None
        self._is_aborted = False
        self._inside: int | None = None
        name = ledger.open("context")

        def free() -> None:
            ledger.free(name)
            on_freed()

        self._lease = Lease(what=f"fake {name}", free=free)

    @property
    def facts(self) -> ContextFacts:
        """The layout asked for."""
        return self._facts

    @property
    def cutter(self) -> FakeCutter:
        """What takes its states apart."""
        return FakeCutter()

    def decode(self, batch: StepBatch) -> None:
        """Append the batch's rows to their sequences.

        Raises:
            DecodeError: -1 for what llama.cpp's batch check refuses, 1 for a full sequence, 2 after
                ``abort``, or what the plan says.
            StateError: The batch is empty, larger than ``n_batch``, or its columns differ in length.
        """
        n = len(batch.tokens)
        if not 0 < n <= self._facts.n_batch:
            raise StateError(
                operation="decode", reason=f"a batch of {n} tokens, 1 to {self._facts.n_batch} fit"
            )
        if not n == len(batch.positions) == len(batch.seq_ids):
            raise StateError(operation="decode", reason="the columns of the batch differ in length")
        with self._entered("decode"):
            code, gate = self._faults.next_decode()
            if gate is not None:
                gate.hold(lambda: self._is_aborted)
            code = code or (2 if self._is_aborted else self._check(batch))
            if code not in (0, 1, -1):
                self._compute(batch, n_rows=n // 2)  # the first half stays in memory, as in llama.cpp
            if code:
                raise DecodeError(code=code, is_retryable=code == 1)
            self._rows = self._compute(batch, n_rows=n)
            self._batches.append(batch)

    def sample(self, samplers: Sequence[NativeSampler], rows: Sequence[int]) -> list[int]:
        """Choose a token for each pair of sampler and logits row of the last batch, and accept it.

        Raises:
            StateError: No such row.
            TypeError: A sampler that this backend did not make.
        """
        with self._entered("sample"):
            computed = self._rows
            if computed is None or not all(0 <= row < len(computed) for row in rows):
                raise StateError(operation="sample", reason=f"rows {list(rows)} of {len(computed or ())}")
            return [self._choose(sampler, computed[row]) for sampler, row in zip(samplers, rows, strict=True)]

    def logits_digest(self, row: int) -> bytes:
        """Return a digest of one raw logits row of the last batch."""
        with self._entered("logits_digest"):
            computed = self._rows
            if computed is None or not 0 <= row < len(computed):
                raise StateError(operation="logits_digest", reason=f"row {row} of {len(computed or ())}")
            return blake2b(repr(list(computed[row])).encode(), digest_size=16).digest()

    def new_sampler(self, params: SamplingParams, history: Sequence[int]) -> FakeSampler:
        """Make a turn's sampler."""
        name = self._ledger.open("sampler")
        return FakeSampler(params, history, on_freed=lambda: self._ledger.free(name))

    def restore_sampler(self, record: SamplerRecord) -> FakeSampler:
        """Make a sampler that goes on exactly where the recorded one stood.

        Raises:
            StateError: The record is of another vocabulary.
        """
        record = record.checked(n_vocab=N_VOCAB)
        sampler = self.new_sampler(record.params, record.recent)
        sampler.go_on_from(record)
        return sampler

    def clear_sequence(self, seq_id: int) -> None:
        """Forget everything about one sequence."""
        with self._entered("clear_sequence", seq_id):
            self._cells[seq_id] = array("q")

    def remove_cells(self, seq_id: int, first: int, end: int) -> bool:
        """Forget positions ``[first, end)``."""
        with self._entered("remove_cells", seq_id):
            if not 0 <= first <= end:
                raise StateError(operation="remove_cells", reason=f"positions {first} to {end}")
            kept = [pair for pair in self._pairs(seq_id) if not first <= pair[0] < end]
            self._cells[seq_id] = array("q", [number for pair in kept for number in pair])
            return True

    def rollback(self, seq_id: int, n_keep: int) -> bool:
        """Take back all but the first ``n_keep`` tokens; this memory always can.

        Raises:
            StateError: The sequence holds fewer tokens.
        """
        with self._entered("rollback", seq_id):
            n_held = len(self._cells[seq_id]) // 2
            if not 0 <= n_keep <= n_held:
                raise StateError(operation="rollback", reason=f"{n_keep} of {n_held} tokens")
            del self._cells[seq_id][2 * n_keep :]
            return True

    def position_range(self, seq_id: int) -> tuple[int, int] | None:
        """Return the smallest and largest position held, or ``None``."""
        with self._entered("position_range", seq_id):
            positions = [position for position, _ in self._pairs(seq_id)]
            return (min(positions), max(positions)) if positions else None

    def tokens_held(self, seq_id: int) -> list[int]:
        """Return the tokens of a sequence's cells, for a test that looks inside."""
        return [token for _, token in self._pairs(seq_id)]

    def state_bytes(self, seq_id: int) -> int:
        """Return how many bytes ``get_state`` will write."""
        with self._entered("state_bytes", seq_id):
            return _HEADER.size + self._cells[seq_id].itemsize * len(self._cells[seq_id])

    def get_state(self, seq_id: int, into: memoryview) -> int:
        """Write magic, number of cells, and the cells; return the bytes written."""
        needed = self.state_bytes(seq_id)
        with self._entered("get_state", seq_id):
            error = self._faults.next_capture()
            if error is not None:
                raise error
            if needed > into.nbytes:
                raise StateError(operation="get_state", reason=f"{needed} bytes do not fit in {into.nbytes}")
            cells = self._cells[seq_id]
            into.cast("B")[:needed] = _HEADER.pack(_MAGIC, len(cells) // 2) + cells.tobytes()
            return needed

    def set_state(self, seq_id: int, data: memoryview, *, n_cells: int) -> None:
        """Replace a sequence's state; like llama.cpp it believes any payload of the right length.

        Raises:
            StateError: Wrong magic or length; the sequence is empty.
        """
        with self._entered("set_state", seq_id):
            self._cells[seq_id] = array("q")
            payload = bytes(data)
            if len(payload) < _HEADER.size or payload[:4] != _MAGIC:
                raise _not_restored("these bytes are no state")
            cells = array("q")
            n = int(_HEADER.unpack_from(payload)[1])
            if n > self._facts.ctx_per_seq or len(payload) != _HEADER.size + 2 * n * cells.itemsize:
                raise _not_restored(f"{len(payload)} bytes do not hold {n} cells")
            cells.frombytes(payload[_HEADER.size :])
            if n != n_cells:
                raise _not_restored(f"it holds {n} cells and not {n_cells}")
            self._cells[seq_id] = cells

    def logprobs(self, row: int, chosen: int, n: int) -> tuple[float, tuple[tuple[int, float], ...]]:
        """Return the log-probability of a token and the ``n`` best, from one raw logits row."""
        with self._entered("logprobs"):
            computed = self._rows
            if computed is None or not 0 <= row < len(computed):
                raise StateError(operation="logprobs", reason=f"row {row} of {len(computed or ())}")
            logits = computed[row]
            highest = max(logits)
            log_sum = highest + math.log(sum(math.exp(logit - highest) for logit in logits))
            best = sorted(range(len(logits)), key=lambda token: (-logits[token], token))[:n]
            return logits[chosen] - log_sum, tuple((token, logits[token] - log_sum) for token in best)

    def abort(self) -> None:
        """Make a running ``decode`` stop soon."""
        self._is_aborted = True

    def close(self) -> None:
        """Free the context once no thread is inside it; safe to call again."""
        self.abort()
        self._lease.close()

    @property
    def is_freed(self) -> bool:
        """Whether nothing of it is left."""
        return self._lease.is_freed

    @contextmanager
    def _entered(self, operation: str, seq_id: int = 0) -> Generator[None]:
        """Hold the context for one call, and insist on its rules."""
        if not 0 <= seq_id < self._facts.n_seq:
            raise StateError(operation=operation, reason=f"sequence {seq_id} of {self._facts.n_seq}")
        with self._lease.use():
            if self._inside is not None:
                raise StateError(operation=operation, reason="another thread is inside the context")
            self._inside = threading.get_ident()
            try:
                yield
            finally:
                self._inside = None

    def _choose(self, sampler: NativeSampler, cells: array[int]) -> int:
        if not isinstance(sampler, FakeSampler):
            raise TypeError(f"{sampler!r} is no sampler of this backend")
        return sampler.choose(self._language.logits(cells))

    def _check(self, batch: StepBatch) -> int:
        """Return the code that llama.cpp would give; rules as in ``llama_batch_allocr::init``."""
        n = len(batch.tokens)
        if any(not 0 <= token < N_VOCAB for token in batch.tokens):
            return -1
        if any(not 0 <= seq_id < self._facts.n_seq for seq_id in batch.seq_ids):
            return -1
        if any(not 0 <= row < n for row in batch.outputs) or any(a >= b for a, b in pairwise(batch.outputs)):
            return -1
        return self._check_positions(batch)

    def _check_positions(self, batch: StepBatch) -> int:
        ends: dict[int, int] = {}
        n_added: dict[int, int] = {}
        for position, seq_id in zip(batch.positions, batch.seq_ids, strict=True):
            cells = self._cells[seq_id]
            last = ends.get(seq_id, cells[-2] if cells else None)
            # An empty sequence may begin anywhere: llama.cpp does not mind, the text shows it.
            if position < 0 or (last is not None and position != last + 1):
                return -1
            ends[seq_id] = position
            n_added[seq_id] = n_added.get(seq_id, 0) + 1
        is_full = any(
            len(self._cells[seq_id]) // 2 + n > self._facts.ctx_per_seq for seq_id, n in n_added.items()
        )
        return 1 if is_full else 0

    def _compute(self, batch: StepBatch, *, n_rows: int) -> list[array[int]]:
        wanted = set(batch.outputs)
        rows: list[array[int]] = []
        columns = zip(batch.tokens, batch.positions, batch.seq_ids, strict=True)
        for row, (token, position, seq_id) in enumerate(columns):
            if row >= n_rows:
                break
            self._cells[seq_id].extend((position, token))
            if row in wanted:
                rows.append(self._cells[seq_id][:])
        return rows

    def _pairs(self, seq_id: int) -> list[tuple[int, int]]:
        cells = self._cells[seq_id]
        return list(zip(cells[::2], cells[1::2], strict=True))


def _not_restored(reason: str) -> StateError:
    hint = "The sequence is empty; compute the prefix again."
    return StateError(operation="set_state", reason=reason, hint=hint)
