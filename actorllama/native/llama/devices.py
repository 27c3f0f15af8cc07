"""The devices that this build of llama.cpp can compute on, with the addresses by which others know them."""

from __future__ import annotations

import ctypes
from typing import Final, Literal

from actorllama.native.llama.binding import LIBRARY_PATH
from actorllama.native.memory_devices import ComputeDevice, plain_pci

__all__ = ["list_devices"]

_KINDS: Final[dict[int, Literal["cpu", "gpu", "integrated", "accelerator"]]] = {
    0: "cpu",
    1: "gpu",
    2: "integrated",
}


class _Properties(ctypes.Structure):
    """``ggml_backend_dev_props``, with room behind it for capabilities that later versions add."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", ctypes.c_char * 64),
    )


def list_devices() -> tuple[ComputeDevice, ...]:
    """List ggml's devices, in the order in which llama.cpp uses its GPUs.

    Empty where the library does not export ggml's registry.

    Cost: on CUDA, asking for a device's memory makes a context on it, which takes some hundred MiB there and
    a tenth of a second: call it once a model is loaded, or is about to be.
    """
    ggml = ctypes.CDLL(LIBRARY_PATH)
    try:
        count, get, read = (
            ggml.ggml_backend_dev_count,
            ggml.ggml_backend_dev_get,
            ggml.ggml_backend_dev_get_props,
        )
    except AttributeError:
        return ()
    count.restype = ctypes.c_size_t
    get.argtypes, get.restype = [ctypes.c_size_t], ctypes.c_void_p
    read.argtypes, read.restype = [ctypes.c_void_p, ctypes.c_void_p], None
    found: list[ComputeDevice] = []
    for index in range(count()):
        properties = _Properties()
        read(get(index), ctypes.byref(properties))
        address = properties.device_id
        found.append(
            ComputeDevice(
                name=(properties.name or b"").decode(errors="replace"),
                description=(properties.description or b"").decode(errors="replace"),
                kind=_KINDS.get(properties.type, "accelerator"),
                pci=plain_pci(address.decode(errors="replace")) if address else None,
                total_bytes=properties.memory_total or None,
            )
        )
    return tuple(found)
