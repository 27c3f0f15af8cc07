"""The children of the cache actor: one job each, in a thread."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import frozen

from actorllama.actors import Context, InitOutcome, Normal, Outcome, Ready, Server, Stop
from actorllama.engine.cache_jobs import CacheJob, JobOutcome

__all__ = ["CacheWorker", "JobDone"]


@frozen(kw_only=True)
class JobDone:
    """A job has ended, one way or the other."""

    job: CacheJob
    outcome: JobOutcome


class CacheWorker(Server[None, None, None]):
    """Run one job in a thread and report it, so that the cache answers meanwhile."""

    def __init__(self, job: CacheJob, report: Callable[[JobDone], None]) -> None:
        """Run ``job`` and hand its outcome to ``report``."""
        self._job: CacheJob | None = job
        self._report = report

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the cache has gone on."""
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Work and report."""
        job, self._job = self._job, None
        assert job is not None, "it begins once"
        outcome: JobOutcome = await trio.to_thread.run_sync(job.run)
        self._report(JobDone(job=job, outcome=outcome))
        return Stop(Normal())
