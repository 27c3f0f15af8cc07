"""Saved sequence states: what a snapshot is, and the places where snapshots live.

**What lives here.** Entries: `Block` and `Boundary` have the rows of a state, cut so that states that begin
alike share them; their keys are a hash chain (``chain.py``). `Snapshot`: a turn boundary that somebody can
resume. All are frozen values; `decode` reads their bytes back (``header.py``, ``meta.py``, ``payload.py``).
`RamTier`: a budget, pins, and a policy that says what goes (``policy.py``). `DiskTier`: files under a root
that several processes may share (``publish.py`` is the protocol, ``directory.py`` the index, ``reserve.py``
the quota, ``sweep.py`` the clearing up, ``reading.py`` the doubt). `SnapshotStore`: both behind one face,
with write-behind by whole jobs (``write_queue.py``, ``jobs.py``); `Demotion` moves entries from RAM to disk.
`PrefixIndex`: what of a prompt is stored. `LatestTurn`: what a new process will be asked for first.
`Codec`: fewer bytes for the same state; its library is loaded by whoever asks for it, never by this door.
`Arena`: memory for states whose pages were touched before; `TouchedMemory`: as much of it as is wanted.
`Survey`, `Lineage`, `clear`: a root looked at and tidied from outside; `ArchiveWriter`: turns on their way.
`FileSystem`: the seam to the system, so that tests can fail or die at any call.

**Who owns it and what always holds.** A `SnapshotStore` and its `RamTier` have one owner; a `DiskTier`
may be used by any thread of any process. A cache is a cache: what is damaged, foreign or unreadable is a
miss, an event, and a quarantined file. Nothing that was announced is lost by the death of a process at
any step; nothing is restored that does not have its digests. Tiers never exceed their limit, and count
every byte; they let a leaf go before its root. A snapshot on disk never lacks its rows unless they were
evicted later. All content is addressed within a namespace, which must name everything that shapes KV.

**What it may import.** ``errors``, ``options``, ``telemetry``, attrs, numpy, the codecs' libraries. Not trio,
not ``llama_cpp``, not ``native``: bytes in, bytes out, and synchronous. What KV bytes must look like for
llama.cpp is ``native/state_layout.py``'s question, asked before they reach it.

**Why this way, and what we refused.** Immutable content-addressed files make sharing idempotent: who
comes second verifies and adopts. The files are the only truth; an index beside them (SQLite, as
diskcache has) would be a second one to keep in step. No mmap: a file cut short under a mapping is a
SIGBUS. No pickle: bytes from a disk are never trusted. No retry of a failed fsync. Names are added by
linking, which cannot overwrite, and everything that takes a published name away holds the root's lock
and looks once more first. xxh3 finds accidents at the speed of memory; against ill will there is a MAC
key, and then every digest is keyed blake2b. Names tell kind and parent: an index is listed, not read.

**Read next.** ``chain.py``, ``block.py``, ``snapshot.py``, ``header.py``; then ``publish.py`` and
``directory.py``; ``store.py`` last.
"""

from __future__ import annotations

from actorllama.kvcache.allocate import Allocate, ReusedMemory, fresh_memory
from actorllama.kvcache.archive import ArchiveWriter, Unusable, read_archive
from actorllama.kvcache.arena import Arena
from actorllama.kvcache.arena_prefault import Prefault
from actorllama.kvcache.arena_reports import ArenaStatistics
from actorllama.kvcache.block import Block
from actorllama.kvcache.boundary import Boundary
from actorllama.kvcache.chain import Chain, block_key, boundary_key, chain_of, root_key
from actorllama.kvcache.chain_reader import ChainReader, ReadOutcome
from actorllama.kvcache.clearing import Cleared, clear, plan_down_to
from actorllama.kvcache.codec import CODECS, Codec, codec_named
from actorllama.kvcache.codec_span import ElementKind, RowSpan
from actorllama.kvcache.decoding import StoredEntry, decode
from actorllama.kvcache.demotion import Demotion
from actorllama.kvcache.directory import KnownFile
from actorllama.kvcache.disk import DiskTier
from actorllama.kvcache.entry import Entry, EntryFacts, EntryKind
from actorllama.kvcache.events import EVENTS
from actorllama.kvcache.eviction import Candidate, plan_eviction
from actorllama.kvcache.file_head import FileHead
from actorllama.kvcache.file_system import FileFacts, FileSystem
from actorllama.kvcache.header import FORMAT_VERSION, HEADER_BYTES, SECTIONS, Buffer
from actorllama.kvcache.hit import Found, Kept
from actorllama.kvcache.jobs import PrefetchJob, ReadJob, WriteJob
from actorllama.kvcache.latest_turns import LatestTurn
from actorllama.kvcache.lineage import Lineage
from actorllama.kvcache.options import CacheOptions
from actorllama.kvcache.owner import Owner
from actorllama.kvcache.posix import PosixFileSystem
from actorllama.kvcache.prefix_index import PrefixHit, PrefixIndex, TierName
from actorllama.kvcache.publish import How
from actorllama.kvcache.ram import RamTier
from actorllama.kvcache.reports import (
    CheckReport,
    DiskStatistics,
    PutReport,
    RamStatistics,
    StoreStatistics,
)
from actorllama.kvcache.snapshot import Snapshot, content_key
from actorllama.kvcache.store import SnapshotStore
from actorllama.kvcache.survey import Survey
from actorllama.kvcache.sweep import plan_sweep
from actorllama.kvcache.touched_memory import TouchedMemory

__all__ = [
    "CODECS",
    "EVENTS",
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "SECTIONS",
    "Allocate",
    "ArchiveWriter",
    "Arena",
    "ArenaStatistics",
    "Block",
    "Boundary",
    "Buffer",
    "CacheOptions",
    "Candidate",
    "Chain",
    "ChainReader",
    "CheckReport",
    "Cleared",
    "Codec",
    "Demotion",
    "DiskStatistics",
    "DiskTier",
    "ElementKind",
    "Entry",
    "EntryFacts",
    "EntryKind",
    "FileFacts",
    "FileHead",
    "FileSystem",
    "Found",
    "How",
    "Kept",
    "KnownFile",
    "LatestTurn",
    "Lineage",
    "Owner",
    "PosixFileSystem",
    "Prefault",
    "PrefetchJob",
    "PrefixHit",
    "PrefixIndex",
    "PutReport",
    "RamStatistics",
    "RamTier",
    "ReadJob",
    "ReadOutcome",
    "ReusedMemory",
    "RowSpan",
    "Snapshot",
    "SnapshotStore",
    "StoreStatistics",
    "StoredEntry",
    "Survey",
    "TierName",
    "TouchedMemory",
    "Unusable",
    "WriteJob",
    "block_key",
    "boundary_key",
    "chain_of",
    "clear",
    "codec_named",
    "content_key",
    "decode",
    "fresh_memory",
    "plan_down_to",
    "plan_eviction",
    "plan_sweep",
    "read_archive",
    "root_key",
]
