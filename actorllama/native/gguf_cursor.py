"""A bounded walk through the first bytes of a GGUF file, which believes no length that it reads."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import BinaryIO, Final

from actorllama.errors import ModelLoadError
from actorllama.native.gguf_types import SCALAR_FORMATS, ValueType

__all__ = ["MAX_HEADER_BYTES", "HeaderCursor", "Scalar"]

Scalar = int | float | bool | str

MAX_HEADER_BYTES: Final = 1 << 29
"""No model's metadata comes near it (a vocabulary of 262,144 tokens takes 12 MB)."""

_CHUNK: Final = 1 << 20
_LENGTH: Final = struct.Struct("<Q")
_SCALARS: Final = MappingProxyType(
    {kind: struct.Struct("<" + letter) for kind, letter in SCALAR_FORMATS.items()}
)


class HeaderCursor:
    """Reads the header front to back from a buffer that grows only as far as the file does.

    Owner: the one call of ``read_gguf`` that made it. A plain ``read``, not a memory map: a file that is
    cut short while we look at it is then an error, not a signal that ends the process.
    """

    def __init__(self, stream: BinaryIO, *, path: str, file_bytes: int) -> None:
        """Start at the stream's first byte."""
        self._stream = stream
        self._path = path
        self._limit = min(file_bytes, MAX_HEADER_BYTES)
        self._file_bytes = file_bytes
        self._data = b""
        self.position = 0

    def remaining(self) -> int:
        """Give how many bytes of the file lie ahead."""
        return self._file_bytes - self.position

    def malformed(self, reason: str) -> ModelLoadError:
        """Make the error for a header that does not hold together."""
        return ModelLoadError(
            path=self._path,
            reason=f"{reason} (at byte {self.position})",
            hint="The file is damaged or was not written to its end: download or convert it again.",
        )

    def take(self, n_bytes: int, *, what: str) -> bytes:
        """Read so many bytes.

        Raises:
            ModelLoadError: The file ends before them, or no header is so long.
        """
        start = self._reach(n_bytes, what=what)
        self.position += n_bytes
        return self._data[start : start + n_bytes]

    def skip(self, n_bytes: int, *, what: str) -> None:
        """Pass over so many bytes; errors as for :meth:`take`."""
        self._reach(n_bytes, what=what)
        self.position += n_bytes

    def scalar(self, kind: ValueType, *, what: str) -> int | float | bool:
        """Read one number or truth value."""
        form = _SCALARS[kind]
        start = self._reach(form.size, what=what)
        self.position += form.size
        value: int | float | bool = form.unpack_from(self._data, start)[0]
        return value

    def unsigned(self, kind: ValueType, *, what: str) -> int:
        """Read a count or a number that names a type."""
        return int(self.scalar(kind, what=what))

    def string(self, *, what: str) -> bytes:
        """Read a string that is preceded by its length."""
        return self.take(self.unsigned(ValueType.UINT64, what=what), what=what)

    def skip_strings(self, n: int, *, what: str) -> None:
        """Pass over so many strings.

        Cost: 0.1 µs each, which for the 430,000 strings of a large vocabulary is most of the time of reading.
        """
        unpack = _LENGTH.unpack_from
        for _ in range(n):
            # The fast path repeats _reach, whose call would cost more than the work.
            if self.position + 8 > len(self._data):
                self._reach(8, what=what)
            n_bytes: int = unpack(self._data, self.position)[0]
            after = self.position + 8 + n_bytes
            if after > len(self._data):
                self.position += 8
                self._reach(n_bytes, what=what)
            self.position = after

    def _reach(self, n_bytes: int, *, what: str) -> int:
        """Have so many bytes from here on in the buffer; give the index of the first."""
        end = self.position + n_bytes
        if end > len(self._data):
            if end > self._file_bytes:
                raise self.malformed(f"the file ends within {what}")
            if end > self._limit:
                raise self.malformed(f"{what} would make the header longer than {MAX_HEADER_BYTES} bytes")
            wanted = max(end - len(self._data), _CHUNK, len(self._data))
            self._data += self._stream.read(min(wanted, self._limit - len(self._data)))
            if end > len(self._data):
                raise self.malformed(f"the file was cut short within {what} while it was read")
        return self.position
