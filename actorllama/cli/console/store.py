"""Conversations on disk: one file for each, written whole or not at all, and never over what is not known."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import evolve

from actorllama.cli.console.talk import Talk
from actorllama.cli.console.talk_file import MAX_BYTES, NAME, bytes_of, check_name, head_of, talk_from
from actorllama.errors import ConversationChanged, RequestError

__all__ = ["Store"]

_SUFFIX: Final = ".json"


class Store:
    """The conversations below one state directory; several processes may share it.

    A conversation knows which state of its file it went on from (``Talk.head``). `write` compares and
    replaces under one lock of the directory, so of two consoles that go on from the same state the second
    one is refused, and nothing that was said is written over.

    Owner: the console. Methods block: call them on a thread.
    """

    def __init__(self, state_dir: Path) -> None:
        """Look below this directory; nothing is made yet."""
        self.directory = state_dir / "conversations"

    def names(self) -> tuple[str, ...]:
        """List what is there, the latest first."""
        with contextlib.suppress(OSError):
            found = [(path.stat().st_mtime_ns, path.stem) for path in self.directory.glob(f"*{_SUFFIX}")]
            return tuple(name for _, name in sorted(found, reverse=True) if NAME.fullmatch(name))
        return ()

    def write(self, talk: Talk) -> Talk:
        """Write a conversation in the place of the state that it went on from, or where there is no file.

        Returns:
            The conversation, which knows its file now.

        Raises:
            ConversationChanged: The file holds another state.
            OSError: The directory cannot be written.
        """
        return self._write(talk, over=(None, talk.head))

    def write_new(self, talk: Talk) -> Talk | None:
        """Write a conversation unless there is one of its name; ``None`` if there is.

        Raises:
            OSError: The directory cannot be written.
        """
        try:
            return self._write(talk, over=(None,))
        except ConversationChanged:
            return None

    def write_over(self, talk: Talk) -> Talk:
        """Write a conversation in the place of whatever has its name.

        Raises:
            OSError: The directory cannot be written.
        """
        return self._write(talk, over=None)

    def read(self, name: str) -> Talk:
        """Read a conversation; nothing in the file is trusted.

        Raises:
            RequestError: There is none, or it cannot be used.
        """
        path = self._path(name)
        data = _data_of(path)
        if data is None:
            known = ", ".join(self.names()[:8]) or "none"
            raise RequestError(field="name", value=name, reason=f"not saved here (there are: {known})")
        try:
            return talk_from(data, name)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"{path} cannot be used: {error}"
            raise RequestError(field="name", value=name, reason=reason) from error

    def delete(self, name: str) -> None:
        """Forget a conversation's file.

        Raises:
            RequestError: There is none.
        """
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise RequestError(field="name", value=name, reason="no conversation is saved as that") from error

    def delete_known(self, talk: Talk) -> None:
        """Forget the file of a conversation if it holds what this conversation knows of it, or less.

        Raises:
            OSError: The directory cannot be written.
        """
        path = self._path(talk.name)
        with self._locked():
            data = _data_of(path)
            if data is not None and head_of(data) == talk.head:
                path.unlink()

    def _path(self, name: str) -> Path:
        return self.directory / f"{check_name(name)}{_SUFFIX}"

    def _write(self, talk: Talk, *, over: tuple[str | None, ...] | None) -> Talk:
        path = self._path(talk.name)
        data = bytes_of(talk)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.directory)  # mode 0600
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            with self._locked() as directory:
                if over is not None:
                    self._insist(path, talk, over)
                Path(temporary).replace(path)
                os.fsync(directory)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return evolve(talk, is_saved=True, head=head_of(data))

    def _insist(self, path: Path, talk: Talk, over: tuple[str | None, ...]) -> None:
        """Refuse to write over a state that the writer did not begin with."""
        data = _data_of(path)
        if (None if data is None else head_of(data)) not in over:
            raise ConversationChanged(conversation=talk.name, was_known=talk.head is not None)

    @contextmanager
    def _locked(self) -> Generator[int, None, None]:
        """Hold the directory, which others do for as long as a rename takes; a death lets go of it."""
        number = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield number
        finally:
            os.close(number)


def _data_of(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
