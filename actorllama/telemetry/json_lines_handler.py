"""Writes facts into a file, one JSON object per line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from actorllama.errors import ConfigError
from actorllama.telemetry.bus import Bus
from actorllama.telemetry.event import Event, EventName, Level, Measurements, Metadata
from actorllama.telemetry.line_buffer import LineBuffer
from actorllama.telemetry.redaction import plain_measurements, plain_metadata, utc_text

__all__ = ["JsonLinesHandler"]

_OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class JsonLinesHandler:
    """Append the facts of a bus to a file; close it to have all of them there.

    ::

        with JsonLinesHandler(bus, "events.jsonl"):
            async with actorllama.open_runtime(bus=bus) as rt:
                ...

    A line is ``{"seq", "timestamp", "event", "level", "measurements", "metadata"}``: ``seq`` counts from 1
    without gaps unless lines were dropped, the time is UTC. Private metadata and errors are redacted as
    `attach_structlog` does it; numbers that JSON lacks become the strings ``nan``, ``inf``, ``-inf``.

    A fact is encoded behind the back of whoever told it (`Bus.attach_late`) and written by another thread,
    so that a slow disk delays nobody, nor any other handler: what it is behind by is bounded in bytes, and
    more than that is dropped and counted. A disk that refuses (full, gone) detaches the handler, which is
    reported as ``telemetry.handler.failed``; the last line may be cut.

    Owner: whoever made it. Any thread may tell it facts.
    """

    def __init__(
        self,
        bus: Bus,
        path: str | os.PathLike[str],
        *,
        prefix: EventName | Event = (),
        level: Level = "info",
        log_prompts: bool = False,
        buffer_limit_bytes: int = 4 << 20,
        interval_s: float = 0.2,
        handler_id: str = "json_lines",
    ) -> None:
        """Open the file, start the thread and attach.

        Args:
            bus: Where to listen.
            path: Appended to; made with mode 0600 if it is not there. One process at a time.
            prefix: Which events; all by default.
            level: Quietest level that is written. ``debug`` is every event: up to a hundred reports of steps
                a second from each model, and each entry of the cache.
            log_prompts: Whether to write what users and models say.
            buffer_limit_bytes: Bytes of lines that may wait for the disk.
            interval_s: Seconds at most between two writes, and what a killed process may lose.
            handler_id: The name of the handler on the bus.

        Raises:
            ConfigError: The file cannot be opened.
            ValueError: ``handler_id`` is taken.
        """
        self.path = Path(path)
        self.handler_id = handler_id
        self._bus = bus
        self._is_open = log_prompts
        self._interval_s = interval_s
        self._lines = LineBuffer(buffer_limit_bytes)
        self._closing = threading.Event()
        self._last_event: Event | None = None
        self._file = _open(self.path)
        self._thread = threading.Thread(target=self._write_all, name=handler_id, daemon=True)
        try:
            bus.attach_late(handler_id, (prefix,), self._take, level=level)
        except ValueError:
            os.close(self._file)
            raise
        self._thread.start()

    def __repr__(self) -> str:
        """Name the file."""
        return f"<JsonLinesHandler {self.path}, {self.n_lines} lines, {self.n_dropped} dropped>"

    def __enter__(self) -> Self:
        """Give the handler."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def n_lines(self) -> int:
        """Facts that were taken, written or still waiting."""
        return self._lines.n_offered - self._lines.n_dropped

    @property
    def n_dropped(self) -> int:
        """Facts that found the buffer full."""
        return self._lines.n_dropped

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Detach, write what waits, close the file; a second time does nothing.

        Blocks for as long as the disk takes, ``timeout_s`` at most.
        """
        # The handler stays attached until its last line is written, so that a failure is still reported.
        self._bus.flush(timeout_s=timeout_s)
        self._closing.set()
        self._lines.end()
        self._thread.join(timeout_s)
        self._bus.detach(self.handler_id)

    # -- the late handlers' thread --------------------------------------------------------------------

    def _take(self, event: Event, measurements: Measurements, metadata: Metadata, at_s: float) -> None:
        about = {
            "timestamp": utc_text(at_s),
            "event": str(event),
            "level": event.level,
            "measurements": plain_measurements(measurements),
            "metadata": plain_metadata(event, metadata, is_open=self._is_open),
        }
        self._last_event = event
        self._lines.offer(_encode(about)[1:].encode("ascii") + b"\n")

    # -- the handler's own thread ------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            while self._write_some():
                self._closing.wait(self._interval_s)
        except OSError as error:
            # A line was taken, so a fact was told, and this is the last of them that we know of.
            assert self._last_event is not None
            self._bus.fail(self.handler_id, self._last_event, error)
        finally:
            os.close(self._file)

    def _write_some(self) -> bool:
        lines, is_going_on = self._lines.take_all()
        rest = memoryview(b"".join(lines))
        while rest:
            rest = rest[os.write(self._file, rest) :]
        return is_going_on


def _open(path: Path) -> int:
    try:
        return os.open(path, _OPEN_FLAGS, 0o600)
    except OSError as exc:
        hint = "Choose a file that can be written."
        raise ConfigError(
            field="path", value=str(path), source=f"JsonLinesHandler ({exc.strerror})", hint=hint
        ) from exc
