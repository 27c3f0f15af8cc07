"""What a snapshot keeps beside tokens and KV: sampler, stop strings, and text that was undecided."""

from __future__ import annotations

import json
import struct

from attrs import frozen

from actorllama.errors import StateError
from actorllama.native import SamplerRecord

__all__ = ["TurnRecord"]

_VERSION = 1
_HEAD = struct.Struct("<HII")
_MAX_FACTS_BYTES = 1 << 20


@frozen(kw_only=True)
class TurnRecord:
    """The part of a turn's state that llama.cpp does not have."""

    sampler: SamplerRecord
    stop: tuple[str, ...]
    held: str
    """Text at the end that a stop string may begin with; it has been emitted."""
    undecoded: bytes
    """Bytes of a character that is not whole yet; they have not been emitted."""

    def to_bytes(self) -> bytes:
        """Write the record: a head, JSON facts, the sampler's own record."""
        facts = {"stop": list(self.stop), "held": self.held, "undecoded": self.undecoded.hex()}
        text = json.dumps(facts, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode("ascii")
        sampler = self.sampler.to_bytes()
        return _HEAD.pack(_VERSION, len(text), len(sampler)) + text + sampler

    @classmethod
    def from_bytes(cls, data: bytes) -> TurnRecord:
        """Read a record back.

        Raises:
            StateError: It is damaged, or of another version.
        """
        try:
            text, sampler = _parts(data)
            facts = json.loads(text)
            stop = tuple(_text(item) for item in facts["stop"])
            held, undecoded = _text(facts["held"]), bytes.fromhex(facts["undecoded"])
        except (ValueError, TypeError, KeyError, struct.error) as exc:
            raise StateError(operation="resume", reason=f"the turn's record cannot be read ({exc})") from exc
        return cls(sampler=SamplerRecord.from_bytes(sampler), stop=stop, held=held, undecoded=undecoded)


def _parts(data: bytes) -> tuple[bytes, bytes]:
    version, n_facts, n_sampler = _HEAD.unpack_from(data)
    end = _HEAD.size + n_facts
    if version != _VERSION or n_facts > _MAX_FACTS_BYTES or len(data) != end + n_sampler:
        raise ValueError(f"version {version}, {len(data)} bytes")
    return data[_HEAD.size : end], data[end:]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
