"""How much the cache may take."""

from __future__ import annotations

from attrs import frozen

from actorllama.options import option

__all__ = ["CacheOptions"]


@frozen(kw_only=True)
class CacheOptions:
    """Bounds of the tiers."""

    ram_limit_bytes: int = option(1 << 30, doc="Most bytes of snapshots in RAM.", unit="bytes", at_least=0)
    disk_limit_bytes: int = option(
        16 << 30,
        doc="Most bytes under the root of the disk tier, of all processes that share it.",
        unit="bytes",
        at_least=0,
    )
    pending_limit_bytes: int = option(
        512 << 20,
        doc="Most bytes of snapshots that wait to be written to disk; more are dropped and counted.",
        unit="bytes",
        at_least=0,
    )
    temporary_age_s: float = option(
        3600.0,
        doc="An unfinished file older than this is removed, whoever writes it.",
        unit="s",
        at_least=1.0,
    )
