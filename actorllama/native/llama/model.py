"""Loaded weights and their vocabulary, over llama-cpp-python's ctypes layer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from actorllama.errors import ModelLoadError, RequestError
from actorllama.native.backend import ModelFacts
from actorllama.native.gguf_fingerprint import fingerprint
from actorllama.native.lease import Lease
from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.library import LlamaLibrary, held_gil
from actorllama.native.memory_devices import BufferSize, buffer_sizes
from actorllama.native.options import ContextOptions, ModelOptions

__all__ = ["LlamaModel", "LlamaVocabulary"]

_MAX_TEXT_BYTES = 1 << 28  # llama_tokenize counts in int32
_PieceBuffer = ctypes.c_char * 64
_token_to_piece = held_gil("llama_token_to_piece")


class LlamaVocabulary:
    """Text to token ids and back; usable from any thread while the model lives."""

    def __init__(self, vocab: int, lease: Lease) -> None:
        """Wrap ``llama_vocab``; the lease keeps the model alive during each call."""
        self._vocab = vocab
        self._lease = lease
        self._n_vocab = int(llama_cpp.llama_vocab_n_tokens(vocab))
        # Filled on first use: a token's bytes never change.
        self._pieces: dict[int, bytes] = {}
        self._ends = frozenset(
            token for token in range(self._n_vocab) if llama_cpp.llama_vocab_is_eog(vocab, token)
        )

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return self._n_vocab

    @property
    def is_closed(self) -> bool:
        """Whether the model behind it has been freed, or is about to be."""
        return self._lease.is_closed

    @property
    def end_tokens(self) -> frozenset[int]:
        """The token ids that end a generation."""
        return self._ends

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Cut text into token ids.

        Raises:
            RequestError: The text is not valid Unicode, or too long for llama.cpp to count.
            StateError: The model has been freed.

        Cost: linear in the text for most vocabularies; call it off the event loop for long texts.
        """
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise RequestError(field="prompt", value=text, reason="holds a lone surrogate") from exc
        if len(data) > _MAX_TEXT_BYTES:
            raise RequestError(field="prompt", value=len(data), reason=f"at most {_MAX_TEXT_BYTES} bytes")
        with self._lease.use():
            room = len(data) + 8
            tokens = (ctypes.c_int32 * room)()
            n = llama_cpp.llama_tokenize(
                self._vocab, data, len(data), tokens, room, add_special, parse_special
            )
            if n < 0:
                tokens = (ctypes.c_int32 * -n)()
                n = llama_cpp.llama_tokenize(
                    self._vocab, data, len(data), tokens, -n, add_special, parse_special
                )
        if n < 0:
            raise RequestError(field="prompt", value=text, reason="llama.cpp could not tokenise it")
        return tokens[:n]

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token adds to the text; control tokens add none."""
        known = self._pieces.get(token)
        return known if known is not None else self._load_piece(token)

    def is_end(self, token: int) -> bool:
        """Say whether the token ends a generation."""
        return token in self._ends

    def _load_piece(self, token: int) -> bytes:
        if not 0 <= token < self._n_vocab:
            raise RequestError(field="token", value=token, reason=f"token ids are 0 to {self._n_vocab - 1}")
        special = False  # control tokens are not text
        buffer: ctypes.Array[ctypes.c_char] = _PieceBuffer()
        self._lease.enter()
        try:
            n = _token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
            if n < 0:
                buffer = ctypes.create_string_buffer(-n)
                n = _token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        finally:
            self._lease.leave()
        piece = buffer.raw[: max(n, 0)]
        self._pieces[token] = piece
        return piece


class LlamaModel:
    """The weights of one file.

    Owner: the model actor that loaded it. Each context and each call of the vocabulary holds a use
    of it, so ``close`` is safe at any time and from any thread.
    """

    def __init__(
        self,
        library: LlamaLibrary,
        handle: int,
        path: Path,
        digest: str,
        buffers: tuple[BufferSize, ...] = (),
    ) -> None:
        """Wrap a ``llama_model``."""
        self._library = library
        self._handle = handle
        self._path = path
        self._lease = Lease(what=f"model {path.name}", free=lambda: llama_cpp.llama_model_free(handle))
        self._facts = evolve(_read_facts(handle, path, digest), buffers=buffers)
        self._vocabulary = LlamaVocabulary(llama_cpp.llama_model_get_vocab(handle), self._lease)

    @property
    def facts(self) -> ModelFacts:
        """What the file says."""
        return self._facts

    @property
    def vocabulary(self) -> LlamaVocabulary:
        """Text to token ids and back."""
        return self._vocabulary

    def open_context(self, options: ContextOptions) -> LlamaContext:
        """Allocate a context with its KV memory.

        Raises:
            ModelLoadError: No memory, or a combination that llama.cpp does not have.
        """
        self._lease.enter()
        try:
            return LlamaContext(self._library, self._handle, self._facts, options, on_freed=self._lease.leave)
        except BaseException:
            self._lease.leave()
            raise

    def close(self) -> None:
        """Free the weights once no context and no thread uses them."""
        self._lease.close()


def load_model(
    library: LlamaLibrary, path: Path, options: ModelOptions, on_progress: Callable[[float], bool]
) -> LlamaModel:
    """Load weights from a GGUF that has passed ``check_loadable``.

    Raises:
        ModelLoadError: llama.cpp refused the file, or ``on_progress`` returned False.
    """
    was_stopped = False

    def progress(fraction: float, _user: object) -> bool:
        nonlocal was_stopped
        if not on_progress(fraction):
            was_stopped = True
        return not was_stopped

    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers if options.n_gpu_layers >= 0 else 999
    params.load_mode = _load_mode(options)
    params.check_tensors = options.check_tensors
    # Kept in a variable: ctypes does not hold a reference for us.
    callback = llama_cpp.llama_progress_callback(progress)
    params.progress_callback = callback
    with library.collecting_errors() as errors, library.collecting_lines() as lines:
        handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if was_stopped:
        if handle:
            llama_cpp.llama_model_free(handle)
        raise ModelLoadError(path=str(path), reason="loading was stopped", hint="Load it again when wanted.")
    if not handle:
        reason = errors[-1] if errors else "llama.cpp gave no reason"
        raise ModelLoadError(path=str(path), reason=reason)
    return LlamaModel(library, handle, path, fingerprint(path), buffer_sizes(lines))


def _load_mode(options: ModelOptions) -> int:
    if options.use_mlock:
        return int(llama_cpp.LLAMA_LOAD_MODE_MLOCK)
    return int(llama_cpp.LLAMA_LOAD_MODE_MMAP if options.use_mmap else llama_cpp.LLAMA_LOAD_MODE_NONE)


def _read_facts(handle: int, path: Path, digest: str) -> ModelFacts:
    vocab = llama_cpp.llama_model_get_vocab(handle)
    template = llama_cpp.llama_model_chat_template(handle, None)
    return ModelFacts(
        path=str(path),
        description=_text(lambda b, n: llama_cpp.llama_model_desc(handle, b, n)),
        architecture=_meta(handle, "general.architecture"),
        name=_meta(handle, "general.name"),
        n_vocab=int(llama_cpp.llama_vocab_n_tokens(vocab)),
        n_ctx_train=int(llama_cpp.llama_model_n_ctx_train(handle)),
        n_embd=int(llama_cpp.llama_model_n_embd(handle)),
        n_layer=int(llama_cpp.llama_model_n_layer(handle)),
        n_swa=int(llama_cpp.llama_model_n_swa(handle)),
        n_params=int(llama_cpp.llama_model_n_params(handle)),
        weights_bytes=int(llama_cpp.llama_model_size(handle)),
        is_recurrent=bool(llama_cpp.llama_model_is_recurrent(handle)),
        is_hybrid=bool(llama_cpp.llama_model_is_hybrid(handle)),
        bos=_optional_token(llama_cpp.llama_vocab_bos(vocab)),
        eos=_optional_token(llama_cpp.llama_vocab_eos(vocab)),
        bos_text=_token_text(vocab, llama_cpp.llama_vocab_bos(vocab)),
        eos_text=_token_text(vocab, llama_cpp.llama_vocab_eos(vocab)),
        chat_template=template.decode("utf-8", errors="replace") if template else None,
        fingerprint=digest,
    )


def _optional_token(token: int) -> int | None:
    return None if token < 0 else int(token)


def _token_text(vocab: int, token: int) -> str:
    if token < 0:
        return ""
    return (llama_cpp.llama_vocab_get_text(vocab, token) or b"").decode("utf-8", errors="replace")


def _meta(handle: int, key: str) -> str:
    return _text(lambda b, n: llama_cpp.llama_model_meta_val_str(handle, key.encode(), b, n))


def _text(read: Callable[[ctypes.Array[ctypes.c_char], int], int]) -> str:
    buffer = ctypes.create_string_buffer(512)
    n = read(buffer, len(buffer))
    return buffer.value.decode("utf-8", errors="replace") if n >= 0 else ""
