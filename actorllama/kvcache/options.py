"""How much the cache may take."""

from __future__ import annotations

from attrs import frozen

from actorllama.kvcache.codec import CODECS
from actorllama.kvcache.policies import DEFAULT_POLICY, POLICIES
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
    prefetch_bytes: int = option(
        128 << 20,
        doc="Most bytes of the turns used last that are read from disk at start, while models load; they go "
        "into RAM, and take no more than half of its limit.",
        unit="bytes",
        at_least=0,
    )
    block_tokens: int = option(
        64,
        doc="Tokens of a block: what conversations that begin alike share.",
        unit="tokens",
        at_least=1,
        at_most=1 << 12,
    )
    policy: str = option(
        DEFAULT_POLICY,
        doc="What leaves RAM first when room is needed.",
        one_of=tuple(POLICIES),
    )
    disk_codec: str = option(
        "none",
        doc="How rows are encoded on disk. q8 rounds them to 8 bits: turns that use them say lossy.",
        one_of=CODECS,
    )
    mac_key_file: str = option(
        "",
        doc="File of 16 to 64 secret bytes that sign what is saved, where others can write to the root too.",
    )
    temporary_age_s: float = option(
        3600.0,
        doc="An unfinished file older than this is removed, whoever writes it.",
        unit="s",
        at_least=1.0,
    )
