"""Reading the key that saved states are signed with."""

from __future__ import annotations

from pathlib import Path

from actorllama.errors import ConfigError

__all__ = ["read_mac_key"]

_BYTES_MIN, _BYTES_MAX = 16, 64  # of blake2b's keys; below 16 they can be guessed
_FIELD = "cache.mac_key_file"


def read_mac_key(path: str) -> bytes | None:
    """Return the bytes of a key file; ``None`` for an empty path.

    Raises:
        ConfigError: It cannot be read, or has not 16 to 64 bytes.
    """
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            key = file.read(_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(field=_FIELD, value=path, source="configuration", hint=f"{exc}.") from exc
    if not _BYTES_MIN <= len(key) <= _BYTES_MAX:
        hint = f"It must have {_BYTES_MIN} to {_BYTES_MAX} bytes: head -c 32 /dev/urandom > FILE makes one."
        raise ConfigError(field=_FIELD, value=path, source="configuration", hint=hint)
    return key
