"""A file that is there whole or not at all, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from actorllama.errors import RequestError

__all__ = ["output_to"]


@contextmanager
def output_to(output: str, *, is_forced: bool) -> Generator[IO[bytes], None, None]:
    """Open what an answer in bytes goes to.

    A file is written beside its name, mode 0600, brought to stable storage, and renamed when the block ends
    well; otherwise nothing is left of it.

    Args:
        output: A path; ``-`` is standard output.
        is_forced: Replace a file that exists.

    Raises:
        RequestError: The file exists, or cannot be where it shall be.
        OSError: The system refused meanwhile.
    """
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    _check(path, output, is_forced=is_forced)
    beside = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.tmp")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise RequestError(field="-o", value=output, reason=f"{exc.strerror}: choose another place") from exc
    try:
        with os.fdopen(fd, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _give_name(beside, path, output, is_forced=is_forced)
    finally:
        with suppress(OSError):
            beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(path: Path, output: str, *, is_forced: bool) -> None:
    reason = ""
    if "\0" in output or not path.name:
        reason = "this is no possible file"
    elif path.is_dir():
        reason = "it is a directory: give a file in it"
    elif os.path.lexists(path) and not is_forced:
        reason = "it exists: choose another name, or add --force"
    elif not path.parent.is_dir():
        reason = f"there is no directory {path.parent}: make it first"
    if reason:
        raise RequestError(field="-o", value=output, reason=reason)


def _give_name(beside: Path, path: Path, output: str, *, is_forced: bool) -> None:
    if is_forced:
        beside.replace(path)
        return
    try:
        os.link(beside, path)  # unlike a rename, it cannot replace what came meanwhile
    except FileExistsError as exc:
        reason = "somebody made it meanwhile: choose another name, or add --force"
        raise RequestError(field="-o", value=output, reason=reason) from exc
    except OSError:
        beside.replace(path)  # a file system without links
