"""Whether a model will fit, before it is loaded: its file's header against what is free."""

from __future__ import annotations

from actorllama.engine.memory_messages import MemoryView
from actorllama.engine.spec import ModelSpec
from actorllama.errors import ModelLoadError
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.memory import HOST
from actorllama.native.memory_estimate import DeviceRoom
from actorllama.native.memory_fit import Fit, what_fits
from actorllama.native.memory_footprint import read_footprint

__all__ = ["fit_of"]


def fit_of(spec: ModelSpec, view: MemoryView) -> Fit | None:
    """Say whether a model fits into what is free, and what would.

    Returns:
        ``None`` where nobody can say: no limit is known, the memory of a GPU is not read, or the file
        cannot be read, which whoever loads it will say better.

    Cost: reads the header; some milliseconds more where the model does not fit. Call it in a thread.
    """
    domains = {name: domain for name, domain in view.devices.items() if domain.kind == "gpu"}
    free = {name: view.free_bytes(domain) for name, domain in domains.items()}
    host_free_bytes = view.free_bytes(HOST)
    rooms = [DeviceRoom(name=name, free_bytes=room) for name, room in free.items() if room is not None]
    if len(rooms) < len(domains) or (host_free_bytes is None and not rooms):
        return None
    try:
        file = read_gguf(spec.path)
        footprint = read_footprint(file, check_loadable(file))
    except ModelLoadError:
        return None
    return what_fits(
        footprint,
        spec.context_options.with_batch_for_sequences(),
        spec.model_options,
        host_free_bytes=host_free_bytes,
        gpus=rooms,
    )
