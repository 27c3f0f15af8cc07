"""The memory that llama.cpp reads its batches from."""

from __future__ import annotations

import ctypes
from struct import Struct

from actorllama.errors import StateError
from actorllama.native.backend import StepBatch
from actorllama.native.llama.binding import llama_cpp

__all__ = ["BatchColumns"]

_INT_BYTES = ctypes.sizeof(ctypes.c_int32)


class BatchColumns:
    """One set of columns for the life of a context: a step writes into them and allocates nothing.

    While the same sequences decode, only tokens and positions differ from the step before, and only
    those are written.

    Owner: one context.
    """

    __slots__ = (
        "_columns",
        "_n_batch",
        "_n_seq_ids",
        "_native",
        "_outputs",
        "_outputs_before",
        "_packers",
        "_pointers",
        "_positions",
        "_seq_ids",
        "_seq_ids_before",
        "_tokens",
    )

    def __init__(self, n_batch: int) -> None:
        """Make room for ``n_batch`` tokens."""
        self._n_batch = n_batch
        ints, pointers = ctypes.c_int32 * n_batch, ctypes.c_void_p * n_batch
        self._tokens, self._positions, self._seq_ids = ints(), ints(), ints()
        self._outputs = (ctypes.c_int8 * n_batch)()
        self._n_seq_ids = ints(*[1] * n_batch)
        base = ctypes.addressof(self._seq_ids)
        self._pointers = pointers(*range(base, base + n_batch * _INT_BYTES, _INT_BYTES))
        self._seq_ids_before: list[int] = []
        self._outputs_before: list[int] = []
        self._packers: dict[int, Struct] = {}
        native = llama_cpp.llama_batch()
        native.embd = None
        native.token = ctypes.cast(self._tokens, type(native.token))
        native.pos = ctypes.cast(self._positions, type(native.pos))
        native.n_seq_id = ctypes.cast(self._n_seq_ids, type(native.n_seq_id))
        native.seq_id = ctypes.cast(self._pointers, type(native.seq_id))
        native.logits = ctypes.cast(self._outputs, type(native.logits))
        self._native = native

    def fill(self, batch: StepBatch) -> llama_cpp.llama_batch:
        """Write a batch down and return it as llama.cpp reads it: valid until the next one.

        Raises:
            StateError: Too many tokens or none, or columns of different lengths.
        """
        tokens, positions, seq_ids, outputs = (
            batch.tokens,
            batch.positions,
            [*batch.seq_ids],
            [*batch.outputs],
        )
        n = len(tokens)
        if not 0 < n <= self._n_batch:
            raise StateError(operation="decode", reason=f"a batch of {n} tokens, 1 to {self._n_batch} fit")
        if not n == len(positions) == len(seq_ids):
            raise StateError(operation="decode", reason="the columns of the batch differ in length")
        pack = self._packer(n).pack_into
        pack(self._tokens, 0, *tokens)
        pack(self._positions, 0, *positions)
        if seq_ids != self._seq_ids_before:
            pack(self._seq_ids, 0, *seq_ids)
            self._seq_ids_before = seq_ids
        if outputs != self._outputs_before:
            ctypes.memset(self._outputs, 0, self._n_batch)
            for row in outputs:
                self._outputs[row] = 1
            self._outputs_before = outputs
        self._native.n_tokens = n
        return self._native

    def _packer(self, n: int) -> Struct:
        packer = self._packers.get(n)
        if packer is None:
            packer = self._packers[n] = Struct(f"{n}i")
        return packer
