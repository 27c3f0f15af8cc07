"""``actorllama cache check``: read everything and say what is damaged."""

from __future__ import annotations

from pathlib import Path

import click
from attrs import asdict

from actorllama.cli.app import App
from actorllama.cli.cache_root import STATE_DIR, count_of, snapshots_of
from actorllama.cli.examples import examples
from actorllama.cli.failures import EXIT_FAILED, EXIT_OK
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, progress, say, say_json
from actorllama.kvcache import DiskTier
from actorllama.kvcache.events import ENTRY_QUARANTINED
from actorllama.telemetry import Bus, record

__all__ = ["command"]


@click.command(
    "check",
    params=[STATE_DIR, JSON],
    epilog=examples(
        "actorllama cache check --state-dir state",
        "actorllama cache check --state-dir state --json",
    ),
)
@click.pass_obj
def command(app: App, *, state_dir: Path, as_json: bool) -> int:
    """Read every entry, hold it against its digests, and set aside what is damaged.

    What is set aside is never an answer: its turn is computed again, or cannot be resumed if it was the
    snapshot itself. What is of another version of the format is left alone. Unfinished files of processes
    that died are removed. Exit code 1 if anything was damaged or could not be read.
    """
    bus = Bus()
    options = app.config.cache
    tier = DiskTier(
        snapshots_of(state_dir),
        limit_bytes=options.disk_limit_bytes,
        temporary_age_s=options.temporary_age_s,
        bus=bus,
    )
    with record(bus, ENTRY_QUARANTINED) as heard, progress("reading") as on_progress:
        report = tier.check(on_progress=on_progress)
    damaged = [dict(fact.metadata) for fact in heard.facts]
    if as_json:
        say_json({"root": tier.root, **asdict(report), "damaged": damaged})
    else:
        say(
            f"{count_of(report.n_checked, 'entry')} read: {report.n_corrupt} damaged, {report.n_foreign} of "
            f"another version or too large, {report.n_unreadable} unreadable"
        )
        for one in damaged:
            note(f"{one['key']}: damaged in its {one['section']}, set aside")
        if report.n_swept:
            note(f"{count_of(report.n_swept, 'unfinished file')} removed")
        if damaged:
            note("`actorllama cache gc --quarantine` frees the bytes of what was set aside")
    return EXIT_FAILED if report.n_corrupt or report.n_unreadable else EXIT_OK
