"""actorllama beside others who run llama.cpp: the same loads, each contestant in a process of its own.

**What lives here.** ``options.py``: what is measured. ``roster.py``: who was found. ``contestant.py``: what a
contestant is asked and answers; ``llama_server.py``, ``python_server.py``, ``own_peer.py`` speak HTTP
(``http_client.py``), ``line_peer.py`` speaks lines to a process that embeds a library (``own_embedded.py``;
``llama_child.py`` belongs to the peer and stands alone). ``process_peer.py``: what all of them have in
common. ``process.py`` and ``leash.py``: processes that end with the bench. ``side.py``: one contestant in one
load; ``loads.py``, ``restart.py``: the loads. ``memory.py``, ``figures.py``, ``bars.py``, ``report.py``: what
came of it. ``run.py``: all of it.

**Why this way, and what we refused.** Libraries and servers are not compared through one transport: what is
embedded has none, and says so; actorllama takes part both ways, so that llama-server has a counterpart with
the same HTTP. Every peer is used as its own documentation would have it used for the load. The client takes
bytes as they come and reads them later, so that it costs the two cores that all share as little as it can.

**Read next.** ``loads.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorllama.lazy import on_first_use

if TYPE_CHECKING:  # the names that __getattr__ loads, for type checkers
    from actorllama.bench.peers.options import CONTESTANTS, LOADS, Load, PeersOptions
    from actorllama.bench.peers.report import PeersReport
    from actorllama.bench.peers.run import run_peers_bench

__all__ = ["CONTESTANTS", "LOADS", "Load", "PeersOptions", "PeersReport", "run_peers_bench"]

# Loaded on first use: a contestant does not load the bench that measures it.
__getattr__ = on_first_use(
    __name__,
    {
        "CONTESTANTS": ".options",
        "LOADS": ".options",
        "Load": ".options",
        "PeersOptions": ".options",
        "PeersReport": ".report",
        "run_peers_bench": ".run",
    },
)
