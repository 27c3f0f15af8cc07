"""llama.cpp as a backend: check the file, then let the library load it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from actorllama.native.backend import BuildInfo
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.llama.devices import list_devices
from actorllama.native.llama.library import LlamaLibrary
from actorllama.native.llama.model import LlamaModel, load_model
from actorllama.native.memory_devices import ComputeDevice
from actorllama.native.options import ModelOptions
from actorllama.native.probe import needs_probe, probe_model

__all__ = ["LlamaBackend"]


class LlamaBackend:
    """Loads GGUF files through llama-cpp-python's ctypes layer.

    Owner: one runtime. Making a second one is harmless; the log callback goes to the newer.
    """

    def __init__(self) -> None:
        """Initialise llama.cpp in this process."""
        self._library = LlamaLibrary()

    def build_info(self) -> BuildInfo:
        """Describe the library that is linked into this process."""
        return self._library.build_info()

    def devices(self) -> tuple[ComputeDevice, ...]:
        """List ggml's devices."""
        return list_devices()

    def load(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool]) -> LlamaModel:
        """Load weights; blocks for as long as the file takes to read.

        Raises:
            ModelLoadError: With the path and the reason.
        """
        file = read_gguf(path)
        check_loadable(file)
        if needs_probe(file):
            # The rules are known to be complete for the architectures that were fuzzed; any other is
            # first tried in a child process, which may die of an assertion in our stead.
            error = probe_model(path).error()
            if error is not None:
                raise error
        return load_model(self._library, path, options, on_progress)
