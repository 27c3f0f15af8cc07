"""A sampler between two tokens, as a value and as bytes."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import cast

from attrs import asdict, fields, frozen

from actorllama.errors import RequestError, StateError
from actorllama.native.sampling import SamplingParams

__all__ = ["SamplerRecord"]

_MAGIC = b"ALsr"
_VERSION = 1
_HEADER = struct.Struct("<4sIIIIQQ")  # magic, version, json bytes, recent, generated, draws, xtc draws
_DIGEST_BYTES = 16
_MAX_TOKENS = 1 << 26
_MAX_JSON_BYTES = 1 << 24


@frozen(kw_only=True)
class SamplerRecord:
    """Everything that decides the next token beside the logits.

    A sampler made from it chooses, from the same logits, what the recorded one would have chosen
    from there on. The chain and its order are in ``params.samplers``.
    """

    params: SamplingParams
    n_vocab: int
    """Size of the vocabulary that the token ids belong to."""
    n_draws: int = 0
    """Numbers drawn to choose a token, from stream 0."""
    n_xtc_draws: int = 0
    """Numbers drawn by XTC, from stream 1."""
    learned: tuple[float, ...] = ()
    """Mirostat's mu, or the two sums of adaptive-p."""
    recent: tuple[int, ...] = ()
    """The tokens that penalties and DRY look back at, oldest first."""
    generated: tuple[int, ...] = ()
    """The turn's own tokens so far, where a grammar has to read them again."""

    def to_bytes(self) -> bytes:
        """Return the record as bytes: header, JSON, token ids, checksum."""
        facts = {"params": _plain(self.params), "n_vocab": self.n_vocab, "learned": self.learned}
        text = json.dumps(facts, separators=(",", ":")).encode()
        header = _HEADER.pack(
            _MAGIC,
            _VERSION,
            len(text),
            len(self.recent),
            len(self.generated),
            self.n_draws,
            self.n_xtc_draws,
        )
        body = header + text + _packed(self.recent) + _packed(self.generated)
        return body + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> SamplerRecord:
        """Read a record, trusting no byte of it.

        Raises:
            StateError: It is damaged, of another version, or holds what no sampler can have.
        """
        data = bytes(data)
        if len(data) < _HEADER.size + _DIGEST_BYTES:
            raise _refused(f"{len(data)} bytes are too few")
        magic, version, n_json, n_recent, n_generated, n_draws, n_xtc_draws = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise _refused(f"it is no record of version {_VERSION}")
        expected = _HEADER.size + n_json + 4 * (n_recent + n_generated) + _DIGEST_BYTES
        if len(data) != expected or n_json > _MAX_JSON_BYTES or n_recent + n_generated > _MAX_TOKENS:
            raise _refused(f"{len(data)} bytes where the header says {expected}")
        body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
            raise _refused("its checksum is wrong")
        at = _HEADER.size + n_json
        params, n_vocab, learned = _read_facts(body[_HEADER.size : at])
        return cls(
            params=params,
            n_vocab=n_vocab,
            n_draws=n_draws,
            n_xtc_draws=n_xtc_draws,
            learned=learned,
            recent=_unpacked(body[at : at + 4 * n_recent]),
            generated=_unpacked(body[at + 4 * n_recent :]),
        ).checked(n_vocab=n_vocab)

    def checked(self, *, n_vocab: int) -> SamplerRecord:
        """Return this record if a sampler over ``n_vocab`` tokens can be made from it.

        Raises:
            StateError: It belongs to another vocabulary, or holds what no sampler can have.
        """
        if self.n_vocab != n_vocab:
            raise _refused(f"it is of a vocabulary of {self.n_vocab} tokens, not of {n_vocab}")
        try:
            self.params.checked(n_vocab=n_vocab)
        except RequestError as exc:
            raise _refused(str(exc)) from exc
        n_learned = self.params.n_learned
        if len(self.learned) != n_learned or not all(math.isfinite(value) for value in self.learned):
            raise _refused(f"{len(self.learned)} learned numbers where there must be {n_learned}")
        if any(not 0 <= token < n_vocab for token in (*self.recent, *self.generated)):
            raise _refused(f"token ids are 0 to {n_vocab - 1}")
        return self


def _plain(params: SamplingParams) -> dict[str, object]:
    plain: dict[str, object] = asdict(params, recurse=False)
    if params.logit_bias is not None:
        plain["logit_bias"] = list(params.logit_bias.items())
    return plain


def _read_facts(text: bytes) -> tuple[SamplingParams, int, tuple[float, ...]]:
    # The checksum has shown that the text is as it was written; what follows guards against a record
    # that another program wrote.
    try:
        facts = json.loads(text)
        plain = cast("dict[str, object]", facts["params"])
        if set(plain) != {one.name for one in fields(SamplingParams)}:
            raise _refused("its parameters are those of another release")
        bias = plain["logit_bias"]
        if bias is not None:
            plain["logit_bias"] = dict(cast("Mapping[int, float]", bias))
        return SamplingParams(**plain), int(facts["n_vocab"]), tuple(facts["learned"])  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise _refused(f"its parameters cannot be read ({exc})") from exc


def _packed(tokens: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(tokens)}I", *tokens)


def _unpacked(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data)


def _refused(reason: str) -> StateError:
    return StateError(operation="sampler record", reason=reason)
