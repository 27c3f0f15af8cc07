"""``actorllama cache gc``: remove what nobody can use, and as much more as is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from attrs import frozen

from actorllama.cli.app import App
from actorllama.cli.cache_plan import Chosen, GcRules, plan_gc
from actorllama.cli.cache_root import STATE_DIR, bytes_in, count_of, open_survey
from actorllama.cli.cache_units import bytes_from, seconds_from
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say, say_json, say_table, size_of
from actorllama.errors import CacheError, StateError
from actorllama.kvcache import Block, Boundary, Cleared, KnownFile, Survey, clear
from actorllama.native.state_part import read_part

__all__ = ["command"]


@click.command(
    "gc",
    params=[
        STATE_DIR,
        click.Option(["--older-than"], metavar="AGE", help="Also what was last used before: 12h, 30d, 2w."),
        click.Option(
            ["--limit", "limit"],
            metavar="BYTES",
            help="Also what was used longest ago, down to: 500MB, 2GiB.",
        ),
        click.Option(
            ["--quarantine", "takes_quarantined"], is_flag=True, help="Also what was set aside as damaged."
        ),
        click.Option(
            ["--unresumable", "takes_unresumable"],
            is_flag=True,
            help="Also turns whose rows are gone, which can be resumed only by computing them again.",
        ),
        click.Option(["--dry-run", "is_dry"], is_flag=True, help="Say what would go, and change nothing."),
        JSON,
    ],
    epilog=examples(
        "actorllama cache gc --state-dir state --dry-run",
        "actorllama cache gc --state-dir state --older-than 30d --limit 2GiB",
    ),
)
@click.pass_obj
def command(
    app: App,
    *,
    state_dir: Path,
    older_than: str | None,
    limit: str | None,
    takes_quarantined: bool,
    takes_unresumable: bool,
    is_dry: bool,
    as_json: bool,
) -> None:
    """Remove what nobody can ever use.

    Without options: unfinished files of processes that died, and rows behind a gap, which no turn can reach.
    A row that might still be used stays. The options take more; turns themselves go only by --older-than,
    --limit and --unresumable. Programs may run meanwhile: what they use after it was chosen is spared.
    """
    rules = GcRules(
        older_than_s=None if older_than is None else seconds_from(older_than, field="--older-than"),
        limit_bytes=None if limit is None else bytes_from(limit, field="--limit"),
        takes_quarantined=takes_quarantined,
        takes_unresumable=takes_unresumable,
        temporary_age_s=app.config.cache.temporary_age_s,
    )
    survey = open_survey(state_dir)
    most_bytes = app.config.cache.disk_limit_bytes

    def needs_others(one: KnownFile) -> bool | None:
        return _needs_others(survey, one, limit_bytes=most_bytes)

    plan = plan_gc(survey, rules, needs_others=needs_others)
    files = [one.file for one in plan]
    done = Cleared(gone=tuple(files), spared=()) if is_dry else clear(survey.directory, files)
    report = _Report(
        root=survey.root,
        is_dry=is_dry,
        plan=plan,
        done=done,
        left_bytes=survey.used_bytes - done.freed_bytes,
        limit_bytes=most_bytes,
    )
    if as_json:
        say_json(report.to_json())
    else:
        report.tell()


def _needs_others(survey: Survey, one: KnownFile, *, limit_bytes: int) -> bool | None:
    """Ask rows themselves for their position: whether they are of no use without rows before them."""
    try:
        entry = survey.read(one, limit_bytes=limit_bytes)
        if not isinstance(entry, Block | Boundary):
            return None
        part = read_part(memoryview(entry.payload))
    except (OSError, MemoryError, CacheError, StateError):
        return None
    return part.first > 0 and any(section.kind == "attention" for section in part.sections)


@frozen(kw_only=True)
class _Report:
    root: str
    is_dry: bool
    plan: Sequence[Chosen]
    done: Cleared
    left_bytes: int
    limit_bytes: int

    def reasons(self) -> dict[str, list[KnownFile]]:
        gone = {one.path for one in self.done.gone}
        found: dict[str, list[KnownFile]] = {}
        for one in self.plan:
            if one.file.path in gone:
                found.setdefault(one.reason, []).append(one.file)
        return found

    def to_json(self) -> dict[str, object]:
        return {
            "root": self.root,
            "is_dry_run": self.is_dry,
            "freed_bytes": self.done.freed_bytes,
            "left_bytes": self.left_bytes,
            "limit_bytes": self.limit_bytes,
            "n_spared": len(self.done.spared),
            "gone": [
                {"key": one.key, "kind": _kind(one), "n_bytes": one.n_bytes, "reason": reason}
                for reason, files in self.reasons().items()
                for one in files
            ],
        }

    def tell(self) -> None:
        rows = [
            (reason, kind, str(len(some)), size_of(bytes_in(some)))
            for reason, files in self.reasons().items()
            for kind in sorted({_kind(one) for one in files})
            for some in [[one for one in files if _kind(one) == kind]]
        ]
        if rows:
            say_table(("WHY", "KIND", "FILES", "SIZE"), rows)
        verb = "would be freed" if self.is_dry else "freed"
        say(f"{size_of(self.done.freed_bytes)} {verb}, {size_of(self.left_bytes)} left")
        if self.done.spared:
            note(f"{count_of(len(self.done.spared), 'file')} spared: somebody used them meanwhile")


def _kind(one: KnownFile) -> str:
    return "file" if one.facts is None else one.facts.kind
