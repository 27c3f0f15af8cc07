"""``actorllama cache stat``: how much is saved, of what, and how much may be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from actorllama.cli.app import App
from actorllama.cli.cache_root import STATE_DIR, bytes_in, count_of, open_survey
from actorllama.cli.cache_units import ago
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import say, say_fields, say_json, say_table, size_of
from actorllama.kvcache import KnownFile, Survey

__all__ = ["command"]


@click.command(
    "stat",
    params=[STATE_DIR, JSON],
    epilog=examples(
        "actorllama cache stat --state-dir state",
        "actorllama cache stat --state-dir state --json",
    ),
)
@click.pass_obj
def command(app: App, *, state_dir: Path, as_json: bool) -> None:
    """Count what is saved, by kind and by namespace.

    The limit is that of the configuration (cache.disk_limit_bytes); a program that was given another one
    keeps to that. Unfinished files are being written, or were left by a process that died; quarantined ones
    were found damaged. Both count, and `actorllama cache gc` removes them.
    """
    survey = open_survey(state_dir)
    limit_bytes = app.config.cache.disk_limit_bytes
    turns = {one.key: head for one, head in survey.turns()}
    lineage = survey.lineage()
    n_whole = sum(
        not lineage.missing(key) and bool(head.parts() or head.raw_bytes) for key, head in turns.items()
    )
    kinds = {
        kind: [one for one, facts in survey.entries() if facts.kind == kind]
        for kind in ("snapshot", "block", "boundary")
    }
    unused = {
        kind: [one for one in survey.files if one.kind == kind] for kind in ("temporary", "quarantined")
    }
    spaces = _by_namespace(
        survey,
        {
            **{key: head.namespace for key, head in turns.items()},
            **lineage.namespaces_of(lineage.rows),
        },
    )
    n_unreadable = len(kinds["snapshot"]) - len(turns)
    if as_json:
        say_json(
            {
                "root": survey.root,
                "used_bytes": survey.used_bytes,
                "limit_bytes": limit_bytes,
                "used_share": survey.used_bytes / limit_bytes if limit_bytes else None,
                "kinds": {kind: _counted(files) for kind, files in kinds.items()},
                "unfinished": _counted(unused["temporary"]),
                "quarantined": _counted(unused["quarantined"]),
                "n_resumable": n_whole,
                "n_recomputed": len(turns) - n_whole,
                "n_unreadable": n_unreadable,
                "namespaces": [
                    {
                        "namespace": namespace,
                        **_counted(files),
                        "n_turns": sum(one.key in turns for one in files),
                    }
                    for namespace, files in spaces.items()
                ],
            }
        )
        return
    share = f"{survey.used_bytes / limit_bytes:.1%} of " if limit_bytes else ""
    fields = [
        ("root", survey.root),
        ("used", f"{size_of(survey.used_bytes)}, {share}the limit of {size_of(limit_bytes)}"),
        *(
            (f"{kind}s" if kind != "boundary" else "boundaries", _told(files))
            for kind, files in kinds.items()
        ),
        ("unfinished", _told(unused["temporary"])),
        ("quarantined", _told(unused["quarantined"])),
        ("turns", f"{n_whole} with all their rows, {len(turns) - n_whole} that are computed again"),
    ]
    if n_unreadable:
        fields.append(("unusable", f"{count_of(n_unreadable, 'snapshot')}: see `actorllama cache check`"))
    say_fields(fields)
    if spaces:
        say()
        now_s = survey.now_s()
        say_table(
            ("NAMESPACE", "TURNS", "ENTRIES", "SIZE", "USED"),
            [
                (
                    namespace or "unknown",
                    str(sum(one.key in turns for one in files)),
                    str(len(files)),
                    size_of(bytes_in(files)),
                    ago(now_s - max(one.used_ns for one in files) / 1e9),
                )
                for namespace, files in spaces.items()
            ],
        )


def _by_namespace(survey: Survey, namespaces: dict[str, str | None]) -> dict[str | None, list[KnownFile]]:
    """Group entries, the namespace of most bytes first."""
    spaces: dict[str | None, list[KnownFile]] = {}
    for one, _ in survey.entries():
        spaces.setdefault(namespaces.get(one.key), []).append(one)
    return dict(sorted(spaces.items(), key=lambda pair: (-bytes_in(pair[1]), pair[0] or "")))


def _counted(files: Iterable[KnownFile]) -> dict[str, object]:
    some = list(files)
    return {"n_files": len(some), "n_bytes": bytes_in(some)}


def _told(files: list[KnownFile]) -> str:
    return f"{len(files)}, {size_of(bytes_in(files))}" if files else "none"
