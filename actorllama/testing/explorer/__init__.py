"""The schedule explorer: find the order of steps under which concurrent code fails.

What lives here
    ``explore`` runs an async scenario under many schedules (``fifo``, ``random``, ``pct``, ``dfs``,
    ``replay``) and raises `ScheduleFailed` with a replay string for the first that fails. ``record`` is one
    run as a value, ``search`` the strategies, ``run`` one run inside trio, ``hooks`` the only touch on trio's
    private scheduler.

Who owns it and what always holds
    One exploration at a time per process; it owns trio's scheduler hooks while it runs and puts them back in
    all cases. A run ends: a deadlock, too many steps and ignored cancellation are findings, never a hang.
    Each finding was run twice before it is told.

What it may import
    trio, and ``actorllama.errors``. Nothing here knows actors.

Why this way, and what we refused
    Trio steps every runnable task once per batch, so shuffling batches cannot delay a task for several steps,
    and misses bugs that threads and real time do produce; one task per tick can. Choices are drawn before the
    run as small integers: drawing inside the loop from Hypothesis lets its own control flow wreck trio.
    Hypothesis's seeding of trio under a plain ``@given`` explores one schedule only, whatever the number of
    examples; use ``actorllama.testing.strategies.schedules``.

Read next
    ``explore.py``, then ``search.py``. The idea is shuttle's and loom's; the hook is trio's own.
"""

from __future__ import annotations

from actorllama.testing.explorer.errors import (
    Deadlock,
    ExplorationRunning,
    Livelock,
    ScheduleFailed,
    UncontrolledNondeterminism,
    UnknownScheduler,
)
from actorllama.testing.explorer.explore import Exploration, explore
from actorllama.testing.explorer.hooks import SchedulerHooks
from actorllama.testing.explorer.search import Chooser, Strategy, dfs, fifo, pct, random, replay

__all__ = [
    "Chooser",
    "Deadlock",
    "Exploration",
    "ExplorationRunning",
    "Livelock",
    "ScheduleFailed",
    "SchedulerHooks",
    "Strategy",
    "UncontrolledNondeterminism",
    "UnknownScheduler",
    "dfs",
    "explore",
    "fifo",
    "pct",
    "random",
    "replay",
]
