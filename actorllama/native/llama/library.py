"""The process's one llama.cpp library: start it, route its log, describe its build."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence

from actorllama.native.backend import BuildInfo
from actorllama.native.llama.binding import LIBRARY_PATH, binding_version, llama_cpp
from actorllama.native.llama.log_router import log_router

__all__ = ["LlamaLibrary", "held_gil"]


def held_gil(
    name: str, *, restype: type | None = None, argtypes: Sequence[type] | None = None
) -> ctypes._FuncPointer:
    """Return a llama.cpp function that is called without letting go of the GIL.

    ctypes releases the GIL around each call; for a call of a microsecond that only invites the event
    loop's thread to take it, and the engine then waits for it to come back. Long calls
    (``llama_decode``, state copies, loading) use the ordinary binding. ``restype`` and ``argtypes``
    override the binding's own: an address is cheaper to handle than a typed pointer. A function that
    llama-cpp-python does not bind needs both.
    """
    function = getattr(_py_library, name)
    function.argtypes = argtypes or getattr(llama_cpp, name).argtypes
    function.restype = restype or getattr(llama_cpp, name).restype
    return function


_py_library = ctypes.PyDLL(LIBRARY_PATH)


class LlamaLibrary:
    """llama.cpp as it is linked into this process.

    Owner: whoever made it; any number of them may exist.
    """

    def __init__(self) -> None:
        """Initialise the backend and take over its log."""
        self._router = log_router()
        llama_cpp.llama_backend_init()

    def build_info(self) -> BuildInfo:
        """Describe the build, its devices and what they can do."""
        info = llama_cpp.llama_print_system_info().decode(errors="replace")
        return BuildInfo(
            library="llama.cpp",
            version=f"llama-cpp-python {binding_version()}",
            has_openmp="OPENMP = 1" in info,
            devices=_device_names(),
            system_info=info.strip(),
            max_seq=int(llama_cpp.llama_max_parallel_sequences()),
        )

    def collecting_errors(self) -> contextlib.AbstractContextManager[list[str]]:
        """Collect what llama.cpp logs as error or warning on this thread inside the block."""
        return self._router.collecting_errors()

    def collecting_lines(self) -> contextlib.AbstractContextManager[list[str]]:
        """Collect every line that llama.cpp logs on this thread inside the block."""
        return self._router.collecting_lines()


def _device_names() -> tuple[str, ...]:
    # ggml's registry is not wrapped by llama-cpp-python; these three functions are in ggml-backend.h.
    ggml = ctypes.CDLL(LIBRARY_PATH)
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
