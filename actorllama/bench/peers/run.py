"""``actorllama bench peers``: the same loads for actorllama and for others who run llama.cpp."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.peers import loads
from actorllama.bench.peers.contestant import Setup
from actorllama.bench.peers.loads import Part
from actorllama.bench.peers.options import PeersOptions
from actorllama.bench.peers.own_build import build_of
from actorllama.bench.peers.own_peer import python_environment
from actorllama.bench.peers.report import PeersReport
from actorllama.bench.peers.restart import restart
from actorllama.bench.peers.roster import find_peers

__all__ = ["run_peers_bench"]


async def run_peers_bench(
    options: PeersOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> PeersReport:
    """Put everyone who is found through all loads, each in processes of its own.

    In a load contestants take their rounds in alternating order. All are told the same model, threads, cells,
    types and sampling, and load one libllama where they can; none has anything left from the load before.
    A contestant that fails is told with its last words, and the others go on. No process outlives this call.
    """
    began = BenchStart.now()
    roster = find_peers(options)
    for name, reason in roster.missing:
        on_progress(f"{name}: {reason}")
    entries = roster.entries
    parts: list[Part] = []
    with tempfile.TemporaryDirectory(prefix="actorllama-peers-") as name:
        setup = Setup(
            model=options.model.absolute(),
            n_slots=1,
            ctx_per_slot=options.turns_cells,
            n_threads=options.n_threads,
            ram_cache_bytes=options.ram_cache_bytes,
            n_banned=options.n_banned,
            library=None if roster.library is None else roster.library.absolute(),
            root=Path(name),
        )
        for load in options.loads:
            own = evolve(setup, root=setup.root / load)
            match load:
                case "turns":
                    for n in options.side_by_side:
                        here = evolve(own, root=setup.root / f"turns-{n}")
                        parts.append(await loads.turns(options, entries, here, n, on_progress))
                case "conversations":
                    parts.append(await loads.conversations(options, entries, own, on_progress))
                case "crowd":
                    parts.append(await loads.crowd(options, entries, own, on_progress))
                    tight = evolve(own, root=setup.root / "tight", ram_cache_bytes=options.tight_cache_bytes)
                    parts.append(await loads.crowd(options, entries, tight, on_progress))
                case "restart":
                    parts.append(await restart(options, entries, own, on_progress))
                case "memory":
                    parts.append(await loads.memory(options, entries, own, on_progress))
    has_llama = any(side.library is not None for part in parts for side in part.sides)
    build = await build_of(python_environment(setup)) if has_llama else None
    facts = began.facts(build=build, model=MeasuredModel.of(options.model, options.label))
    return PeersReport(options=options, facts=facts, roster=roster, parts=tuple(parts))
