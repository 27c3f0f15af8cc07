"""The process's one llama.cpp library: start it, route its log, describe its build."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Iterator

import llama_cpp
import structlog

from actorllama.native.backend import BuildInfo

__all__ = ["LlamaLibrary", "held_gil"]

_LEVELS = {1: "info", 2: "warning", 3: "error", 4: "debug"}


def held_gil(name: str) -> ctypes._FuncPointer:
    """Return a llama.cpp function that is called without letting go of the GIL.

    ctypes releases the GIL around each call; for a call of a microsecond that only invites the event
    loop's thread to take it, and the engine then waits for it to come back. Long calls
    (``llama_decode``, state copies, loading) use the ordinary binding.
    """
    original = getattr(llama_cpp.llama_cpp, name)
    function = getattr(_py_library, name)
    function.argtypes = original.argtypes
    function.restype = original.restype
    return function


_PATH = llama_cpp.llama_cpp._lib._name  # noqa: SLF001 - the one place that says which file was loaded
_py_library = ctypes.PyDLL(_PATH)


class LlamaLibrary:
    """llama.cpp as it is linked into this process.

    llama.cpp has one log callback and one backend registry per process, so this is the one place
    whose state is process-wide; it holds nothing but the log's tail.

    Owner: whoever made it; ``last_errors`` may be read from any thread.
    """

    def __init__(self) -> None:
        """Initialise the backend and take over its log."""
        # Through the standard library's levels, so that a program that configured nothing sees nothing.
        self._log = structlog.wrap_logger(
            logging.getLogger("actorllama.llama_cpp"),
            processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        self._local = threading.local()
        self._partial = ""
        self._partial_level = "info"
        self._callback = llama_cpp.llama_log_callback(self._on_log)
        llama_cpp.llama_backend_init()
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def build_info(self) -> BuildInfo:
        """Describe the build, its devices and what they can do."""
        info = llama_cpp.llama_print_system_info().decode(errors="replace")
        return BuildInfo(
            library="llama.cpp",
            version=f"llama-cpp-python {llama_cpp.__version__}",
            has_openmp="OPENMP = 1" in info,
            devices=_device_names(),
            system_info=info.strip(),
            max_seq=int(llama_cpp.llama_max_parallel_sequences()),
        )

    @contextlib.contextmanager
    def collecting_errors(self) -> Iterator[list[str]]:
        """Collect what llama.cpp logs as error or warning on this thread inside the block."""
        collected: list[str] = []
        self._local.collected = collected
        try:
            yield collected
        finally:
            self._local.collected = None

    def _on_log(self, level: int, text: bytes, _user: object) -> None:
        # Runs on whatever thread llama.cpp is on. An exception here would be printed by ctypes and
        # lost, so nothing below may raise on odd bytes.
        message = text.decode("utf-8", errors="replace")
        name = _LEVELS.get(level, self._partial_level)
        self._partial_level = name
        if not message.endswith("\n"):
            self._partial += message
            return
        line, self._partial = (self._partial + message).strip(), ""
        if not line:
            return
        collected = getattr(self._local, "collected", None)
        if collected is not None and name in ("warning", "error"):
            collected.append(line)
        # Errors come back to the caller as typed errors; in the log they are detail.
        if name == "warning":
            self._log.info(line)
        else:
            self._log.debug(line, level_there=name)


def _device_names() -> tuple[str, ...]:
    # ggml's registry is not wrapped by llama-cpp-python; these three functions are in ggml-backend.h.
    ggml = ctypes.CDLL(_PATH)
    try:
        count, get, name = ggml.ggml_backend_dev_count, ggml.ggml_backend_dev_get, ggml.ggml_backend_dev_name
        describe = ggml.ggml_backend_dev_description
    except AttributeError:
        return ()
    count.restype = ctypes.c_size_t
    get.argtypes, get.restype = [ctypes.c_size_t], ctypes.c_void_p
    for text in (name, describe):
        text.argtypes, text.restype = [ctypes.c_void_p], ctypes.c_char_p
    devices = [get(index) for index in range(count())]
    return tuple(f"{name(d).decode()}: {describe(d).decode()}" for d in devices)
