"""Stop one process: ask, wait, kill."""

from __future__ import annotations

import trio

from actorllama.actors.process import Process
from actorllama.actors.reason import ExitReason, Killed

__all__ = ["stop_process"]


async def stop_process(process: Process, reason: ExitReason) -> ExitReason:
    """Ask for an orderly end and wait for it, at most for the grace of the child's spec; then kill.

    The wait is for the death, not for the task: a child that unlinked itself, or sits in native code,
    cannot hang it (rules V15, V16).

    Returns:
        Why it ended.
    """
    if process.spec.is_brutal:
        process.die(Killed("brutal_kill"))
    else:
        process.request_shutdown(reason)
        grace_s = process.grace_s
        with trio.CancelScope(deadline=trio.current_time() + grace_s):
            await process.wait_exit()
        process.die(Killed(f"still alive after {grace_s} s of grace"))
    return await process.wait_exit()
