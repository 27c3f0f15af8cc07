"""``actorllama cache ls``: what is saved."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from attrs import frozen

from actorllama.cli.cache_root import STATE_DIR, count_of, open_survey, short_key
from actorllama.cli.cache_units import ago, seconds_from
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say_json, say_table, size_of
from actorllama.kvcache import EntryFacts, EntryKind, FileHead, KnownFile, Lineage, Survey

__all__ = ["command"]

_KINDS: tuple[EntryKind, ...] = ("snapshot", "boundary", "block")
_N_SHOWN = 40
_NAMESPACE_SHOWN = 8
_HEADINGS = ("KIND", "KEY", "SIZE", "TOKENS", "USED", "SAVED", "NAMESPACE", "ROWS", "LABEL")


@frozen(kw_only=True)
class _Shown:
    """One entry, with what its header says; ``head`` is ``None`` if that cannot be used."""

    file: KnownFile
    facts: EntryFacts
    head: FileHead | None
    namespace: str | None
    n_rows: int
    n_missing: int

    def to_json(self) -> dict[str, object]:
        head = self.head
        return {
            "kind": self.facts.kind,
            "key": self.file.key,
            "n_bytes": self.file.n_bytes,
            "used_s": self.file.used_ns / 1e9,
            "is_readable": head is not None,
            "n_tokens": None if head is None else head.n_tokens,
            "n_prompt": None if head is None or head.kind != "snapshot" else head.n_prompt,
            "created_s": None if head is None else head.created_s,
            "codec": None if head is None else head.codec,
            "parent": self.facts.parent if head is None else head.parent,
            "namespace": self.namespace,
            "label": "" if head is None else head.label,
            "n_rows": self.n_rows,
            "n_missing_rows": self.n_missing,
        }

    def to_row(self, now_s: float) -> tuple[str, ...]:
        head = self.head
        created_s = None if head is None else head.created_s
        return (
            self.facts.kind,
            short_key(self.file.key),
            size_of(self.file.n_bytes),
            "?" if head is None else str(head.n_tokens),
            ago(now_s - self.file.used_ns / 1e9),
            "-" if created_s is None else ago(now_s - created_s),
            (self.namespace or "-")[:_NAMESPACE_SHOWN],
            self._rows(),
            "cannot be used: see `actorllama cache check`" if head is None else head.label,
        )

    def _rows(self) -> str:
        if self.facts.kind != "snapshot" or self.head is None:
            return "-"
        if not self.n_rows:
            return "own" if self.head.raw_bytes else "computed again"
        return "all" if not self.n_missing else f"{self.n_rows - self.n_missing} of {self.n_rows}"


@click.command(
    "ls",
    params=[
        STATE_DIR,
        click.Option(["--kind"], type=click.Choice(_KINDS), help="Only entries of this kind."),
        click.Option(["--namespace"], metavar="DIGITS", help="Only of the namespace that begins so."),
        click.Option(["--older-than"], metavar="AGE", help="Only what was last used before: 12h, 30d, 2w."),
        click.Option(
            ["--sort"],
            type=click.Choice(["used", "size"]),
            default="used",
            show_default=True,
            help="Latest use first, or largest first; snapshots are always before rows.",
        ),
        click.Option(
            ["--limit", "n_most"],
            type=click.IntRange(min=0),
            default=_N_SHOWN,
            show_default=True,
            help="Show at most so many; 0: all.",
        ),
        JSON,
    ],
    epilog=examples(
        "actorllama cache ls --state-dir state",
        "actorllama cache ls --state-dir state --kind snapshot --older-than 30d --json",
    ),
)
def command(
    *,
    state_dir: Path,
    kind: EntryKind | None,
    namespace: str | None,
    older_than: str | None,
    sort: str,
    n_most: int,
    as_json: bool,
) -> None:
    """List saved turns and the rows that belong to them.

    Snapshots come first: each is a turn that can be resumed by its key. ROWS says whether all entries with
    its rows are here, or how many; the others are computed again. A namespace names model file, build and
    settings: only a context of the same namespace can use an entry. Only names are read, and the headers of
    what is shown.
    """
    age_s = None if older_than is None else seconds_from(older_than, field="--older-than")
    survey = open_survey(state_dir)
    now_s = survey.now_s()
    found = [
        (one, facts)
        for one, facts in survey.entries()
        if (kind is None or facts.kind == kind) and (age_s is None or now_s - one.used_ns / 1e9 > age_s)
    ]
    rank = _rank(sort)
    chosen = sorted(found, key=rank) if not n_most or namespace else heapq.nsmallest(n_most, found, key=rank)
    needs_lineage = namespace is not None or any(facts.kind != "snapshot" for _, facts in chosen)
    shown = _shown(survey, chosen, survey.lineage() if needs_lineage else None)
    if namespace is not None:
        shown = [one for one in shown if (one.namespace or "").startswith(namespace)]
    n_found = len(found) if namespace is None else len(shown)
    shown = shown[:n_most] if n_most else shown
    if as_json:
        say_json({"root": survey.root, "n_found": n_found, "entries": [one.to_json() for one in shown]})
        return
    say_table(_HEADINGS, [one.to_row(now_s) for one in shown])
    more = "" if len(shown) == n_found else f"; {len(shown)} are shown, --limit 0 shows all"
    note(f"{count_of(n_found, 'entry')}{more}")


def _rank(sort: str) -> Callable[[tuple[KnownFile, EntryFacts]], tuple[int, int, str]]:
    def rank(pair: tuple[KnownFile, EntryFacts]) -> tuple[int, int, str]:
        one, facts = pair
        return _KINDS.index(facts.kind), -(one.n_bytes if sort == "size" else one.used_ns), one.key

    return rank


def _shown(
    survey: Survey, chosen: Sequence[tuple[KnownFile, EntryFacts]], lineage: Lineage | None
) -> list[_Shown]:
    stored = {one.key for one, facts in survey.entries() if facts.kind != "snapshot"}
    rows = [one.key for one, facts in chosen if facts.kind != "snapshot"]
    namespaces = {} if lineage is None else lineage.namespaces_of(rows)
    shown: list[_Shown] = []
    for one, facts in chosen:
        head = survey.head(one)
        parts = () if head is None else head.parts()
        shown.append(
            _Shown(
                file=one,
                facts=facts,
                head=head,
                namespace=namespaces.get(one.key)
                if head is None or head.namespace is None
                else head.namespace,
                n_rows=len(parts),
                n_missing=sum(part not in stored for part in parts),
            )
        )
    return shown
