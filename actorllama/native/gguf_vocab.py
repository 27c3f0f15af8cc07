"""The vocabulary in a GGUF file: whatever would make llama.cpp's tokeniser assert, throw or lose text.

llama.cpp loads some vocabularies that it cannot use: a text that needs a missing byte token ends the
process at the first ``llama_tokenize``, because an exception may not cross C. Source:
`src/llama-vocab.cpp`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import numpy as np

from actorllama.native.gguf import GgufArray, open_regular
from actorllama.native.gguf_cursor import HeaderCursor
from actorllama.native.gguf_types import ValueType
from actorllama.native.gguf_view import GgufView

__all__ = ["check_vocabulary", "read_strings"]

_TOKENS: Final = "tokenizer.ggml.tokens"
_MAX_TOKENS: Final = 1 << 24
_N_BYTE_TOKEN: Final = len(b"<0x00>")

# tokeniser -> the ids of bos and eos that llama.cpp takes when the file gives none
_DEFAULT_IDS: Final = MappingProxyType[str, tuple[int | None, int | None]](
    {
        "llama": (1, 2),
        "gpt2": (11, 11),
        "hybriddna": (11, 11),
        "whitespace": (11, 11),
        "gemma4": (None, None),
        "rwkv": (None, None),
        "plamo2": (1, 2),
    }
)
_REFUSED: Final = MappingProxyType(
    {
        "bert": "its tokeniser is made for embeddings",
        "t5": "its tokeniser is made for encoder-decoders",
        "no_vocab": "it has no vocabulary",
        "none": "it has no vocabulary",
        "test": "its tokeniser is a dummy for llama.cpp's own tests",
    }
)
_NO_DEFAULT_BOS: Final = frozenset({"chatglm-bpe", "glm4", "glm5"})
# tokenisers and pre-tokenisers that begin texts with bos unless the file says no; gemma4 whatever it says
_ADD_BOS_NAMES: Final = """
    llama gemma4 llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken
    chameleon
"""
_ADD_BOS: Final = frozenset(_ADD_BOS_NAMES.split())


def check_vocabulary(view: GgufView) -> int:
    """Refuse a vocabulary that llama.cpp cannot tokenise with.

    Returns:
        The number of tokens.

    Raises:
        ModelLoadError: Names what is wrong with it.

    Cost: reads the tokens, 0.1 s for 150,000.
    """
    model = view.text("tokenizer.ggml.model")
    if model is None or view.file.arrays.get(_TOKENS) is None:
        raise view.refuse("it has no vocabulary", hint="Load the model file, not a part of it.")
    if model not in _DEFAULT_IDS:
        raise view.refuse(
            _REFUSED.get(model, f"its tokeniser {model!r} is not known to this llama.cpp build")
        )
    n_tokens, byte_tokens = _tokens(view)
    _check_table(view, "tokenizer.ggml.token_type", (ValueType.INT32,), n_tokens)
    _check_table(view, "tokenizer.ggml.scores", (ValueType.FLOAT32, ValueType.INT32), n_tokens)
    if model in ("gpt2", "gemma4", "hybriddna", "whitespace"):
        merges = view.file.arrays.get("tokenizer.ggml.merges")
        if (merges is None and view.text("tokenizer.ggml.pre") != "kimi-k2") or (
            merges is not None and merges.kind is not ValueType.STRING
        ):
            raise view.refuse("the merges of its vocabulary are missing")
    if model in ("llama", "plamo2"):
        _check_bytes(view, byte_tokens)
    _check_special(view, model, n_tokens)
    return n_tokens


def read_strings(view: GgufView, array: GgufArray) -> Iterator[bytes]:
    """Read an array of strings from the file, one after the other, as the bytes that llama.cpp will see."""
    with open_regular(view.file.path) as stream:
        stream.seek(array.offset)
        cursor = HeaderCursor(stream, path=view.file.path, file_bytes=array.n_bytes)
        for _ in range(array.n):
            yield cursor.string(what="an array of strings")


def _tokens(view: GgufView) -> tuple[int, set[bytes]]:
    """Count the tokens, and collect those that may stand for a byte.

    Of the others only hashes are kept, 8 bytes each: the tokens themselves are tens of megabytes in a large
    vocabulary, of which the heap would keep a part.
    """
    array = view.file.arrays[_TOKENS]
    if array.kind is not ValueType.STRING or not 0 < array.n <= _MAX_TOKENS:
        raise view.refuse(f"its vocabulary of {array.n} elements of type {array.kind.name} is none")
    byte_tokens: set[bytes] = set()
    hashes = np.empty(array.n, dtype=np.int64)
    for index, token in enumerate(_names(view, array)):
        hashes[index] = hash(token)
        if len(token) in (1, _N_BYTE_TOKEN):
            byte_tokens.add(token)
    hashes.sort()
    if (hashes[1:] == hashes[:-1]).any():  # as good as certain
        n_twice = array.n - len(set(_names(view, array)))
        if n_twice:
            raise view.refuse(f"{n_twice} tokens are in its vocabulary twice")
    return array.n, byte_tokens


def _names(view: GgufView, array: GgufArray) -> Iterator[bytes]:
    """Read the tokens as llama.cpp sees them: it asserts that no name is there twice."""
    for index, token in enumerate(read_strings(view, array)):
        # Cut at a zero byte, and with a name where nothing is left.
        yield token.partition(b"\0")[0] or b"[EMPTY_%d]" % index


def _check_table(view: GgufView, key: str, kinds: tuple[ValueType, ...], n_tokens: int) -> None:
    """Check a table that has one element for each token."""
    if key not in view.file.metadata:
        return
    array = view.file.arrays.get(key)
    if array is None or array.kind not in kinds or array.n < n_tokens:
        n = 1 if array is None else array.n
        raise view.refuse(f"{key} has {n} elements of type {view.file.kinds[key].name} for {n_tokens} tokens")


def _check_bytes(view: GgufView, tokens: set[bytes]) -> None:
    """A text is cut into bytes where no token fits, so there must be one for each."""
    missing = [
        byte for byte in range(256) if b"<0x%02X>" % byte not in tokens and bytes([byte]) not in tokens
    ]
    if missing:
        raise view.refuse(f"{len(missing)} of 256 bytes have no token in its vocabulary")


def _check_special(view: GgufView, model: str, n_tokens: int) -> None:
    """The tokens that llama.cpp puts around a text must be there, or it asserts that they are.

    An id that is out of range makes it take a default instead; for the end of a text that would mean a turn
    that never ends, so only for tokens that nothing here uses (padding, mask, ...) it may be.
    """
    pre = view.text("tokenizer.ggml.pre")
    default_bos, default_eos = _DEFAULT_IDS[model]
    bos = _special_id(view, "bos", None if pre in _NO_DEFAULT_BOS else default_bos, n_tokens)
    eos = _special_id(view, "eos", default_eos, n_tokens)
    _special_id(view, "eot", None, n_tokens)
    adds_bos = _adds(view, "bos")
    if bos is None and (adds_bos or (adds_bos is None and (model in _ADD_BOS or pre in _ADD_BOS))):
        raise view.refuse("texts begin with its bos token, and it has none")
    if eos is None and _adds(view, "eos"):
        raise view.refuse("texts end with its eos token, and it has none")


def _special_id(view: GgufView, name: str, default: int | None, n_tokens: int) -> int | None:
    key = f"tokenizer.ggml.{name}_token_id"
    value = view.file.metadata.get(key)
    if value is None:
        return default if default is not None and default < n_tokens else None
    if view.file.kinds[key] is not ValueType.UINT32 or not isinstance(value, int):
        raise view.refuse(f"{key} is of type {view.file.kinds[key].name} and must be one UINT32")
    if value >= n_tokens:
        raise view.refuse(f"{key} is {value}, and the vocabulary has {n_tokens} tokens")
    return value


def _adds(view: GgufView, name: str) -> bool | None:
    key = f"tokenizer.ggml.add_{name}_token"
    value = view.file.metadata.get(key)
    if value is not None and not isinstance(value, bool):
        raise view.refuse(f"{key} is of type {view.file.kinds[key].name} and must be one BOOL")
    return value
