"""A GGUF's metadata as llama.cpp reads it: under the architecture's prefix, each key of one exact type."""

from __future__ import annotations

import math

from attrs import frozen

from actorllama.errors import ModelLoadError
from actorllama.native.gguf import GgufArray, GgufFile, GgufValue
from actorllama.native.gguf_types import ValueType

__all__ = ["GgufView"]


@frozen(kw_only=True)
class GgufView:
    """Typed look-ups. llama.cpp refuses a value of another type, so a wrong type is an error here too."""

    file: GgufFile
    architecture: str

    def refuse(self, reason: str, *, hint: str = "") -> ModelLoadError:
        """Make the error for a file that cannot be used."""
        advice = hint or "Download or convert the model again, or load another one."
        return ModelLoadError(path=self.file.path, reason=reason, hint=advice)

    def value(self, key: str) -> GgufValue | None:
        """Give what stands under a key of this architecture."""
        return self.file.metadata.get(f"{self.architecture}.{key}")

    def unsigned(self, key: str, *, least: int = 0, most: int = 0xFFFF_FFFF) -> int | None:
        """Read a number without a sign; ``None`` if the file does not give it.

        Raises:
            ModelLoadError: It is of another type, or out of bounds.
        """
        value = self.value(key)
        if value is None:
            return None
        full = f"{self.architecture}.{key}"
        if self.file.kinds[full] is not ValueType.UINT32 or not isinstance(value, int):
            raise self.refuse(f"{full} is of type {self._type_of(full)} and must be one UINT32")
        if not least <= value <= most:
            raise self.refuse(f"{full} is {value} and must be within {least} and {most}")
        return value

    def required(self, key: str, *, least: int = 1, most: int = 0xFFFF_FFFF) -> int:
        """Read a number without which the model cannot be built."""
        value = self.unsigned(key, least=least, most=most)
        if value is None:
            raise self.refuse(f"{self.architecture}.{key} is missing")
        return value

    def real(self, key: str, *, least: float, most: float = math.inf) -> float | None:
        """Read a real number; ``None`` if the file does not give it."""
        value = self.value(key)
        if value is None:
            return None
        full = f"{self.architecture}.{key}"
        if self.file.kinds[full] is not ValueType.FLOAT32 or not isinstance(value, float):
            raise self.refuse(f"{full} is of type {self._type_of(full)} and must be one FLOAT32")
        if not (least <= value <= most and math.isfinite(value)):
            raise self.refuse(f"{full} is {value} and must be a number within {least} and {most}")
        return value

    def flag(self, key: str) -> bool | None:
        """Read a truth value; ``None`` if the file does not give it."""
        value = self.value(key)
        if value is not None and not isinstance(value, bool):
            full = f"{self.architecture}.{key}"
            raise self.refuse(f"{full} is of type {self._type_of(full)} and must be one BOOL")
        return value

    def text(self, key: str) -> str | None:
        """Read a string by its whole key; ``None`` if the file does not give it."""
        value = self.file.metadata.get(key)
        if value is not None and not isinstance(value, str):
            raise self.refuse(f"{key} is of type {self._type_of(key)} and must be one STRING")
        return value

    def per_layer(self, key: str, n_layer: int, *, most: int) -> tuple[int, ...] | None:
        """Read one number for each layer: an array of that length, or one number for all.

        Raises:
            ModelLoadError: Of another type or length, or out of bounds.
        """
        value = self.value(key)
        if not isinstance(value, tuple | GgufArray):
            one = self.unsigned(key, most=most)
            return None if one is None else (one,) * n_layer
        full = f"{self.architecture}.{key}"
        if self.file.kinds[full] not in (ValueType.UINT32, ValueType.INT32) or not isinstance(value, tuple):
            raise self.refuse(f"{full} is of type {self._type_of(full)} and must hold 32-bit integers")
        if len(value) != n_layer:
            raise self.refuse(f"{full} has {len(value)} elements for {n_layer} layers")
        numbers = tuple(int(number) for number in value)
        if not all(0 <= number <= most for number in numbers):
            raise self.refuse(f"{full} has an element that is not within 0 and {most}")
        return numbers

    def _type_of(self, full: str) -> str:
        kind = self.file.kinds[full].name
        return f"ARRAY of {kind}" if full in self.file.arrays else kind
