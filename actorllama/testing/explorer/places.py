"""Where tasks stand, in words for an error message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import trio

__all__ = ["is_trios_own", "living_tasks", "name_of", "place_of"]

_TRIO = str(Path(trio.__file__).parent)


def living_tasks() -> Iterator[trio.lowlevel.Task]:
    """Go through the tasks of the current run, parents first, without those that trio itself runs."""
    root = trio.lowlevel.current_root_task()
    pending = [] if root is None else [root]
    while pending:
        task = pending.pop()
        if not is_trios_own(task):
            yield task
        for nursery in reversed(task.child_nurseries):
            pending.extend(sorted(nursery.child_tasks, key=lambda child: child.name))


def is_trios_own(task: trio.lowlevel.Task) -> bool:
    """Tell whether trio itself runs this task."""
    return task.name.startswith(("<init>", "<TrioToken"))


def name_of(task: trio.lowlevel.Task) -> str:
    """Give the last part of a task's name: the function, or what its spawner called it."""
    return task.name.rsplit("<locals>.", 1)[-1].rsplit("run._Run.", 1)[-1]


def place_of(task: trio.lowlevel.Task) -> str:
    """Tell the line of the user's code where a task waits, and which trio function it waits in."""
    ours: tuple[FrameType, int] | None = None
    waits_in = ""
    for frame, line in task.iter_await_frames():
        if not frame.f_code.co_filename.startswith(_TRIO):
            ours, waits_in = (frame, line), ""
        elif not waits_in and not frame.f_code.co_name.startswith("__"):
            waits_in = f" in {frame.f_code.co_qualname}()"
    if ours is None:
        return f"trio's own code{waits_in}"
    frame, line = ours
    function = frame.f_code.co_qualname.rsplit("<locals>.", 1)[-1]
    return f"{Path(frame.f_code.co_filename).name}:{line} {function}{waits_in}"
