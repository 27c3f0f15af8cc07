"""The shipped test kit: find concurrency bugs instead of hoping.

What lives here
    ``explore`` and its strategies (``fifo``, ``random``, ``pct``, ``dfs``, ``replay``) run an async scenario
    under many schedules; ``schedules`` in ``testing.strategies`` does so under Hypothesis. ``guard_loop`` and
    ``loop_guard_fixture`` fail a test whose loop was held up. ``advance`` moves a mock clock. The
    ``random_*`` modules write small GGUF models.

Who owns it and what always holds
    Nothing here outlives the call that began it. The product never imports it.

What it may import
    The runtime and below. What a helper needs beyond trio (pytest, hypothesis, gguf) it alone imports.

Why this way, and what we refused
    Fakes and controlled schedules over mocks and sleeps. See ``explorer`` for the reasons.

Read next
    ``explorer/__init__.py``.
"""

from __future__ import annotations

from actorllama.testing.clock import advance
from actorllama.testing.explorer import (
    Deadlock,
    Exploration,
    ExplorationRunning,
    Livelock,
    ScheduleFailed,
    Strategy,
    UncontrolledNondeterminism,
    UnknownScheduler,
    dfs,
    explore,
    fifo,
    pct,
    random,
    replay,
)
from actorllama.testing.loop_guard import LoopBlocked, LoopGuard, guard_loop, loop_guard_fixture

__all__ = [
    "Deadlock",
    "Exploration",
    "ExplorationRunning",
    "Livelock",
    "LoopBlocked",
    "LoopGuard",
    "ScheduleFailed",
    "Strategy",
    "UncontrolledNondeterminism",
    "UnknownScheduler",
    "advance",
    "dfs",
    "explore",
    "fifo",
    "guard_loop",
    "loop_guard_fixture",
    "pct",
    "random",
    "replay",
]
