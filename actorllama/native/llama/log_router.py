"""Where llama.cpp's log lines go: into logging, and to whoever collects errors on this thread."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Generator

from actorllama.native.llama.binding import llama_cpp

__all__ = ["LogRouter", "log_router"]

_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}  # ggml.h; 5 continues the line before


class LogRouter:
    """The receiver of llama.cpp's log.

    llama.cpp has one log callback per process and calls it from any thread at any time, so there is
    one router per process, made on first use and never freed: a freed callback would be a jump into
    nowhere at the next line. It holds nothing but unfinished lines, per thread.
    """

    def __init__(self) -> None:
        """Make the callback; ``install`` hands it to llama.cpp."""
        # The standard library's own, so that a program that configured nothing sees nothing; structlog brings
        # rich and asyncio along, 6 MB in every process.
        self._log = logging.getLogger("actorllama.llama_cpp")
        self._local = threading.local()
        self._callback = llama_cpp.llama_log_callback(self._on_log)
        # Not even the end of the interpreter may free it: llama.cpp's own threads may outlive that.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._callback))

    def install(self) -> None:
        """Receive every line from now on; safe to call again."""
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    @contextlib.contextmanager
    def collecting_errors(self) -> Generator[list[str], None, None]:
        """Collect what llama.cpp logs as error or warning on this thread inside the block."""
        self.install()  # a program that has imported all of llama_cpp meanwhile has put its own there
        collected: list[str] = []
        self._local.collected = collected
        try:
            yield collected
        finally:
            self._local.collected = None

    @contextlib.contextmanager
    def collecting_lines(self) -> Generator[list[str], None, None]:
        """Collect every line logged on this thread inside the block: llama.cpp tells what it allocates.

        Blocks may lie within one another; each gets the lines of those inside.
        """
        self.install()
        collected: list[str] = []
        outer: tuple[list[str], ...] = getattr(self._local, "lines", ())
        self._local.lines = (*outer, collected)
        try:
            yield collected
        finally:
            self._local.lines = outer

    def _on_log(self, level: int, text: bytes, _user: object) -> None:
        # An exception here would be printed by ctypes and lost: nothing below may raise on odd bytes.
        local = self._local
        name = _LEVELS.get(level) or getattr(local, "level", "info")
        local.level = name
        line = getattr(local, "partial", "") + text.decode("utf-8", errors="replace")
        if not line.endswith("\n"):
            local.partial = line
            return
        local.partial = ""
        collected = getattr(local, "collected", None)
        if collected is not None and name in ("warning", "error") and line.strip():
            collected.append(line.strip())
        for lines in getattr(local, "lines", ()):
            lines.append(line.strip())
        # Errors come back to the caller as typed errors; in the log they are detail.
        if name in ("warning", "error"):
            self._log.info(line.strip(), extra={"level_there": name})
        else:
            self._log.debug(line.strip(), extra={"level_there": name})


_made: list[LogRouter] = []  # at most one; see the class for why it is process-wide


def log_router() -> LogRouter:
    """Return the process's router, installed."""
    if not _made:
        _made.append(LogRouter())
    _made[0].install()
    return _made[0]
