"""A contestant's process: in a session of its own, and gone when the bench is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import trio

from actorllama.errors import EngineError

__all__ = ["PeerProcess"]

_LEASH: Final = Path(__file__).with_name("leash.py")
_GRACE_S: Final = 30.0
_N_LAST_CHARS: Final = 400


class PeerProcess:
    """A program that was started for the bench, with its output in a file.

    It is started on the thread of the event loop: the system ends it with the thread that started it.

    Owner: the contestant.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str], has_pipes: bool = False
    ) -> None:
        """Start it; with pipes it is spoken to on its standard input and output.

        Raises:
            EngineError: It cannot be started.
        """
        self._log = log
        self._log_begins = log.stat().st_size if log.exists() else 0
        leashed = [sys.executable, "-S", "-E", str(_LEASH), str(os.getpid()), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                leashed,
                stdin=subprocess.PIPE if has_pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if has_pipes else output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.pipes: tuple[trio.lowlevel.FdStream, trio.lowlevel.FdStream] | None = None
        """What it reads and what it writes."""
        if self._process.stdin is not None and self._process.stdout is not None:
            pair = (self._process.stdin, self._process.stdout)
            self.pipes = (_stream_of(pair[0]), _stream_of(pair[1]))

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def check(self) -> None:
        """Do nothing as long as it runs.

        Raises:
            EngineError: It has ended; the message has its last words.
        """
        if self._process.poll() is not None:
            code, words = self._process.returncode, self.last_words()
            raise EngineError(f"It ended with {code}, saying: {words or 'nothing'}. See {self._log}.")

    def last_words(self) -> str:
        """Give the end of what it wrote since it began, in one line."""
        written = self._log.read_bytes()[self._log_begins :].decode(errors="replace")
        return " ".join(written[-_N_LAST_CHARS:].split())

    async def wait(self) -> None:
        """Wait until it has ended."""
        await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    async def stop(self) -> None:
        """End it politely; by force after half a minute, or when this is cancelled."""
        try:
            if self._process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGTERM)
            with trio.move_on_after(_GRACE_S):
                await self.wait()
        finally:
            self.kill()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._process.wait)
                for stream in self.pipes or ():
                    await stream.aclose()

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it was quicker
                os.killpg(self.pid, signal.SIGKILL)


def _stream_of(pipe: IO[bytes]) -> trio.lowlevel.FdStream:
    stream = trio.lowlevel.FdStream(os.dup(pipe.fileno()))
    pipe.close()
    return stream
