"""``actorllama cache rm``: remove entries by their keys."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import click
from attrs import frozen

from actorllama.cli.cache_root import STATE_DIR, bytes_in, count_of, find_entries, open_survey
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say, say_json, size_of
from actorllama.errors import RequestError
from actorllama.kvcache import Cleared, KnownFile, Lineage, Survey, clear

__all__ = ["command"]

_NOTHING: Final = Lineage(rows={}, parents={}, needs={}, namespaces={})
"""Where everything goes, nothing is needed."""


@click.command(
    "rm",
    params=[
        click.Argument(["keys"], metavar="[KEY]...", nargs=-1),
        STATE_DIR,
        click.Option(["--rows", "takes_rows"], is_flag=True, help="Also the rows that nothing else needs."),
        click.Option(["--all", "takes_all"], is_flag=True, help="Everything that is saved."),
        click.Option(["--yes", "is_sure"], is_flag=True, help="Do not ask before --all."),
        JSON,
    ],
    epilog=examples(
        "actorllama cache ls --state-dir state",
        "actorllama cache rm --state-dir state --all --yes",
    ),
)
def command(
    *,
    keys: Sequence[str],
    state_dir: Path,
    takes_rows: bool,
    takes_all: bool,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Remove saved turns, or rows, by their keys.

    The beginning of a key is enough if no other key begins so: `actorllama cache rm 3f9a02 --rows`. A turn
    that is removed cannot be resumed any more. Its rows stay for other turns that begin alike; with --rows,
    those go that no other turn and no other row needs. --all asks first, or needs --yes.
    """
    if takes_all == bool(keys):
        reason = "give the keys of what to remove, or --all"
        raise RequestError(field="KEY", value=" ".join(keys), reason=reason)
    survey = open_survey(state_dir)
    entries = [one for one, _ in survey.entries()]
    chosen = tuple(sorted(entries, key=_rows_last)) if takes_all else find_entries(survey, keys)
    if takes_all and not is_sure and not _is_confirmed(survey, chosen):
        note("nothing was removed")
        return
    lineage = _NOTHING if takes_all else survey.lineage()
    turns = {one.key for one in chosen} & set(lineage.needs)
    needless = (lineage.rows[key] for key in lineage.unneeded(turns))
    unneeded = tuple(one for one in needless if one not in chosen)
    done = clear(survey.directory, chosen, is_forced=True)
    freed = clear(survey.directory, unneeded) if takes_rows else Cleared(gone=(), spared=())
    report = _Report(
        root=survey.root,
        gone=done.gone,
        rows=freed.gone,
        left=() if takes_rows else unneeded,
        n_shared=_n_shared(lineage, turns, {one.key for one in (*chosen, *unneeded)}),
        n_recomputed=_n_recomputed(lineage, {one.key for one in chosen}),
        n_spared=len(done.spared) + len(freed.spared),
    )
    if as_json:
        say_json(report.to_json())
    else:
        report.tell()


def _rows_last(one: KnownFile) -> tuple[bool, int]:
    return one.facts is not None and one.facts.kind != "snapshot", one.used_ns


def _is_confirmed(survey: Survey, chosen: Sequence[KnownFile]) -> bool:
    if not sys.stdin.isatty():
        reason = "asks before it removes everything, and nobody can answer here: add --yes"
        raise RequestError(field="--all", value=True, reason=reason)
    question = f"Remove {count_of(len(chosen), 'entry')} ({size_of(bytes_in(chosen))}) of {survey.root}?"
    return click.confirm(question, err=True)


def _n_shared(lineage: Lineage, turns: Collection[str], taken: Collection[str]) -> int:
    rows = {key for turn in turns for key in lineage.needs[turn] if key in lineage.rows}
    return len(rows.difference(taken))


def _n_recomputed(lineage: Lineage, taken: Collection[str]) -> int:
    """Count the turns that stay and lose rows."""
    rows = {key for key in taken if key in lineage.rows}
    return sum(turn not in taken and not rows.isdisjoint(keys) for turn, keys in lineage.needs.items())


@frozen(kw_only=True)
class _Report:
    root: str
    gone: Sequence[KnownFile]
    rows: Sequence[KnownFile]
    left: Sequence[KnownFile]
    n_shared: int
    n_recomputed: int
    n_spared: int

    def to_json(self) -> dict[str, object]:
        return {
            "root": self.root,
            "keys": [one.key for one in self.gone],
            "row_keys": [one.key for one in self.rows],
            "freed_bytes": bytes_in(self.gone) + bytes_in(self.rows),
            "n_rows_left": len(self.left),
            "left_bytes": bytes_in(self.left),
            "n_rows_shared": self.n_shared,
            "n_turns_recomputed": self.n_recomputed,
            "n_spared": self.n_spared,
        }

    def tell(self) -> None:
        freed = size_of(bytes_in(self.gone) + bytes_in(self.rows))
        rows = f" and {len(self.rows)} of their rows" if self.rows else ""
        say(f"{count_of(len(self.gone), 'entry')}{rows} removed, {freed} freed")
        if self.left:
            what = f"{len(self.left)} of their rows that nothing else needs ({size_of(bytes_in(self.left))})"
            note(f"left: {what}; --rows removes them too, and they go by themselves when room is needed")
        if self.n_shared:
            note(f"left: {self.n_shared} of their rows that others need")
        if self.n_recomputed:
            note(
                f"{count_of(self.n_recomputed, 'turn')} computed again when resumed: their rows were removed"
            )
        if self.n_spared:
            note(f"{count_of(self.n_spared, 'file')} spared: somebody used or replaced them meanwhile")
