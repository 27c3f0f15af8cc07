"""Every GPU's memory through NVML: nvidia-ml-py over the library that comes with NVIDIA's driver.

Drivers are reloaded, GPUs fall off the bus, and some of them share the machine's memory and say "not
supported": one GPU's fault hides that GPU, a fault of the library hides all until it is opened again.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from actorllama.native.memory import MemoryDomain, MemoryReading, SourceReport
from actorllama.native.memory_devices import plain_pci

__all__ = ["NvmlSource"]

_REOPEN_S: Final = 30.0
_MIG_ENABLED: Final = 1
_LIBRARY: Final = "libnvidia-ml.so.1"
# After these the library's handles mean nothing any more: uninitialised, driver not loaded, GPU lost,
# reset required, driver and library of different versions, unknown.
_STALE: Final = frozenset({1, 9, 15, 16, 18, 999})
_Handle = object


class _Pci(Protocol):
    busId: bytes | str  # noqa: N815 - NVML's name


class _Memory(Protocol):
    total: int
    free: int


class _Nvml(Protocol):
    """The functions of nvidia-ml-py that are used here."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802 - NVML's names, here and below
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> _Handle: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, handle: _Handle) -> _Memory: ...  # noqa: N802
    def nvmlDeviceGetUUID(self, handle: _Handle) -> bytes | str: ...  # noqa: N802
    def nvmlDeviceGetPciInfo(self, handle: _Handle) -> _Pci: ...  # noqa: N802
    def nvmlDeviceGetMigMode(self, handle: _Handle) -> Sequence[int]: ...  # noqa: N802
    def nvmlDeviceGetMaxMigDeviceCount(self, handle: _Handle) -> int: ...  # noqa: N802
    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: _Handle, index: int) -> _Handle: ...  # noqa: N802


class NvmlSource:
    """Reads used and total memory of each GPU, and of each MIG instance where a GPU is cut into such.

    Owner: whoever made it. The library is opened at the first reading; after a failure it is tried again,
    at most every ``reopen_s``. Used memory is all that is not free: other programs and the driver included.
    """

    name = "nvml"

    def __init__(self, *, reopen_s: float = _REOPEN_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Open nothing yet."""
        self._reopen_s = reopen_s
        self._clock = clock
        self._nvml: _Nvml | None = None
        self._devices: list[tuple[MemoryDomain, _Handle]] = []
        self._faults: list[str] = []
        self._opened_at_s = 0.0
        self._failed_at_s: float | None = None
        self._why_not = ""

    def read(self) -> SourceReport:
        """Read each GPU.

        Cost: a few microseconds for each GPU; the first call loads the driver's library, which can take a
        tenth of a second where nothing else keeps the driver awake.
        """
        nvml = self._nvml or self._open()
        if nvml is None:
            return SourceReport(source=self.name, why_not=self._why_not)
        readings: list[MemoryReading] = []
        faults = list(self._faults)
        is_stale = False
        for domain, handle in self._devices:
            try:
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            except nvml.NVMLError as exc:
                faults.append(f"{domain.name}: {exc}")
                is_stale = is_stale or _code(exc) in _STALE
                continue
            if 0 <= memory.free <= memory.total and memory.total > 0:
                used = memory.total - memory.free
                readings.append(
                    MemoryReading(domain=domain, source=self.name, used_bytes=used, limit_bytes=memory.total)
                )
            else:
                faults.append(f"{domain.name}: {memory.free} of {memory.total} bytes free, which cannot be")
        if is_stale and self._clock() - self._opened_at_s >= self._reopen_s:
            self.close()  # the next reading opens it again; until then the other GPUs can be read
        return SourceReport(source=self.name, readings=tuple(readings), why_not="; ".join(faults))

    def close(self) -> None:
        """Let go of the library; the next reading opens it again."""
        nvml, self._nvml = self._nvml, None
        self._devices = []
        self._failed_at_s = None
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # the driver went away before us

    def _open(self) -> _Nvml | None:
        if self._failed_at_s is not None and self._clock() - self._failed_at_s < self._reopen_s:
            return None
        if not _has_driver():
            self._give_up("NVML: NVML Shared Library Not Found")
            return None
        try:
            nvml = cast("_Nvml", importlib.import_module("pynvml"))
        except ImportError as exc:
            self._give_up(f"nvidia-ml-py: {exc}")
            return None
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as exc:
            self._give_up(f"NVML: {exc}")
            return None
        self._nvml, self._devices, self._faults = nvml, [], []
        self._opened_at_s = self._clock()
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                self._add(nvml, index)
        except nvml.NVMLError as exc:
            self._give_up(f"NVML: {exc}")
            return None
        if not self._devices and not self._faults:
            self._faults = ["NVML: there is no GPU"]
        return nvml

    def _add(self, nvml: _Nvml, index: int) -> None:
        """List one GPU, or what it is cut into; a GPU that cannot be named is a fault, not the end."""
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            pci = plain_pci(_text(nvml.nvmlDeviceGetPciInfo(handle).busId))
            found = _instances(nvml, handle) or [handle]
            for part in found:
                uuid = _text(nvml.nvmlDeviceGetUUID(part))
                domain = MemoryDomain(kind="gpu", index=index, uuid=uuid, pci=pci)
                self._devices.append((domain, part))
        except nvml.NVMLError as exc:
            self._faults.append(f"gpu{index}: {exc}")

    def _give_up(self, why_not: str) -> None:
        self.close()
        self._why_not = why_not
        self._failed_at_s = self._clock()


def _has_driver() -> bool:
    """Look for the driver's library, before 1.4 MB of bindings are loaded for it in vain."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def _instances(nvml: _Nvml, handle: _Handle) -> list[_Handle]:
    """List the MIG instances of a GPU; none where it is whole, or cannot be cut."""
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] != _MIG_ENABLED:
            return []
        n_most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return []
    found: list[_Handle] = []
    for index in range(n_most):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        except nvml.NVMLError:
            continue  # a place that holds no instance
    return found


def _code(error: Exception) -> int | None:
    value: object = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
