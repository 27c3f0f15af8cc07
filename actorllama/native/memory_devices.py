"""Which GPU a compute device of llama.cpp is: its devices against the domains that are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, cast

from attrs import frozen

from actorllama.native.memory import HOST, MemoryDomain

__all__ = [
    "BufferSize",
    "BufferUse",
    "ComputeDevice",
    "buffer_sizes",
    "domain_of",
    "match_devices",
    "occupied_bytes",
    "parse_buffer_line",
    "plain_pci",
]

_PCI: Final = re.compile(r"^([0-9a-f]{1,8}):([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-9a-f])$")
_MIB: Final = 1024 * 1024
_BUFFER: Final = re.compile(
    r"^\S+:\s+(?P<label>\S+)\s+(?P<what>model|KV|RS|compute|output)\s+buffer size\s*=\s*(?P<mib>\d+\.\d+) MiB"
)


BufferUse = Literal["model", "KV", "RS", "compute", "output"]
"""What llama.cpp allocates a buffer for; ``RS`` are recurrent states."""


@frozen(kw_only=True)
class ComputeDevice:
    """A device as ggml lists it. ``pci`` is ``None`` where ggml knows no address; sizes are in bytes."""

    name: str
    description: str
    kind: Literal["cpu", "gpu", "integrated", "accelerator"]
    pci: str | None = None
    total_bytes: int | None = None


@frozen(kw_only=True)
class BufferSize:
    """One allocation that llama.cpp told of: where (its buffer type's name), for what, and how much.

    llama.cpp rounds to a hundredth of a MiB.
    """

    label: str
    what: BufferUse
    n_bytes: int

    @property
    def is_of_host(self) -> bool:
        """Whether it lies in the host's memory: ``CPU``, ``CPU_Mapped``, ``CPU_REPACK``, ``CUDA_Host``."""
        return self.label.startswith("CPU") or self.label.endswith("_Host")


def plain_pci(text: str) -> str:
    """Write a PCI address as ggml does (``0000:c1:00.0``), whatever NVML or a user wrote.

    What is no such address comes back in small letters, and matches nothing but itself.
    """
    lowered = text.strip().lower()
    found = _PCI.match(lowered)
    if found is None:
        return lowered
    domain, bus, device, function = (int(part, 16) for part in found.groups())
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def match_devices(
    devices: Iterable[ComputeDevice], domains: Iterable[MemoryDomain], *, visible: str | None = None
) -> Mapping[str, MemoryDomain]:
    """Say in which domain each device's memory lies, by its name.

    A GPU that no source reads gets a domain with its address alone, so that it is never taken for another.

    Args:
        devices: From ggml.
        domains: The GPUs that are read.
        visible: ``CUDA_VISIBLE_DEVICES``: of several MIG instances at one address it names the one we use.

    Returns:
        Name to domain; CPUs, accelerators and GPUs that share the host's memory map to the host.
    """
    by_pci: dict[str, list[MemoryDomain]] = {}
    for domain in domains:
        by_pci.setdefault(domain.pci, []).append(domain)
    wanted = [part.strip() for part in (visible or "").split(",") if part.strip()]
    matched: dict[str, MemoryDomain] = {}
    for device in devices:
        if device.kind != "gpu":
            matched[device.name] = HOST
            continue
        pci = plain_pci(device.pci) if device.pci else ""
        found = by_pci.get(pci, []) if pci else []
        matched[device.name] = _choose(found, wanted) or MemoryDomain(
            kind="gpu", index=_trailing_number(device.name), pci=pci or device.name.lower()
        )
    return matched


def parse_buffer_line(line: str) -> BufferSize | None:
    """Read one line of llama.cpp's log; ``None`` if it tells of no buffer."""
    found = _BUFFER.match(line.strip())
    if found is None:
        return None
    what = cast("BufferUse", found["what"])  # the pattern lets no other word pass
    return BufferSize(label=found["label"], what=what, n_bytes=round(float(found["mib"]) * _MIB))


def domain_of(label: str, matched: Mapping[str, MemoryDomain]) -> MemoryDomain:
    """Say where a buffer lies: ``CUDA0`` on that device; ``CPU_Mapped`` and ``CUDA_Host`` on the host."""
    return matched.get(label, HOST)


def occupied_bytes(
    lines: Iterable[str], matched: Mapping[str, MemoryDomain]
) -> Mapping[MemoryDomain, Mapping[BufferUse, int]]:
    """Add up what llama.cpp's log says that a model or a context took, by domain and use.

    Args:
        lines: What it logged while loading, or while making the context.
        matched: Where each device's memory lies, from `match_devices`.
    """
    found: dict[MemoryDomain, dict[BufferUse, int]] = {}
    for size in filter(None, map(parse_buffer_line, lines)):
        uses = found.setdefault(domain_of(size.label, matched), {})
        uses[size.what] = uses.get(size.what, 0) + size.n_bytes
    return found


def buffer_sizes(lines: Iterable[str]) -> tuple[BufferSize, ...]:
    """Read the allocations that llama.cpp told of, in order."""
    return tuple(size for size in map(parse_buffer_line, lines) if size is not None)


def _choose(found: Sequence[MemoryDomain], wanted: Sequence[str]) -> MemoryDomain | None:
    if len(found) <= 1:
        return found[0] if found else None
    named = [domain for domain in found if any(domain.uuid.startswith(uuid) for uuid in wanted)]
    return named[0] if named else found[0]


def _trailing_number(name: str) -> int:
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else 0
