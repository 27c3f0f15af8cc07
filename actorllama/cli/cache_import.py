"""``actorllama cache import``: take in turns that were exported elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import click

from actorllama.cli.app import App
from actorllama.cli.cache_import_turns import ImportedTurns
from actorllama.cli.cache_root import STATE_DIR, count_of, snapshots_of
from actorllama.cli.examples import examples
from actorllama.cli.failures import EXIT_FAILED, EXIT_OK
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say, say_json
from actorllama.errors import RequestError, SnapshotMismatch
from actorllama.kvcache import DiskTier, Survey, read_archive

__all__ = ["command"]

_NO_ARCHIVE: Final = "this is no archive of saved turns: make one with `actorllama cache export`"


@click.command(
    "import",
    params=[click.Argument(["file"], metavar="FILE"), STATE_DIR, JSON],
    epilog=examples(
        "actorllama cache import --state-dir other turns.tar",
        "actorllama cache export --state-dir state --all -o - | actorllama cache import --state-dir other -",
    ),
)
@click.pass_obj
def command(app: App, *, file: str, state_dir: Path, as_json: bool) -> int:
    """Take in the turns of an archive; - is standard input.

    Nothing in the archive is believed: each entry is held against its digests and its key, and published as
    if it had been computed here. What is damaged is told and left out, with exit code 1. What is here
    already stays as it is. DIR is made if it is missing. If the limit (cache.disk_limit_bytes) leaves no
    room, what was used longest ago goes, as always.
    """
    options = app.config.cache
    tier = DiskTier(
        snapshots_of(state_dir, may_be_missing=True),
        limit_bytes=options.disk_limit_bytes,
        codec=options.disk_codec,
        temporary_age_s=options.temporary_age_s,
    )
    imported = ImportedTurns(tier)
    with _input_from(file) as stream:
        try:
            for found in read_archive(stream, limit_bytes=options.disk_limit_bytes):
                imported.take(found)
        except SnapshotMismatch as exc:
            raise RequestError(field="FILE", value=file, reason=_NO_ARCHIVE) from exc
        finally:
            imported.publish()  # what came whole is not lost because something behind it did not
    stored = {one.key for one, _ in Survey(tier.root).entries()}
    if as_json:
        say_json({"root": tier.root, **imported.to_json(stored)})
    else:
        say(imported.line())
        for turn in imported.turns:
            n_gone = sum(part not in stored for part in turn.parts)
            rows = (
                "all its rows are here" if not n_gone else f"{count_of(n_gone, 'row')} to be computed again"
            )
            note(f"turn {turn.key}: {rows}; for namespace {turn.namespace}")
    for problem in imported.problems:
        note(f"left out: {problem}")
    if imported.n_evicted:
        note(
            f"{count_of(imported.n_evicted, 'entry')} went to make room; cache.disk_limit_bytes is the limit"
        )
    return EXIT_FAILED if imported.problems else EXIT_OK


@contextmanager
def _input_from(file: str) -> Generator[IO[bytes], None, None]:
    if file == "-":
        if sys.stdin.isatty():
            raise RequestError(field="FILE", value=file, reason="is a terminal: give a file, or a pipe")
        yield sys.stdin.buffer
        return
    path = Path(file)
    try:
        if path.exists() and not path.is_file() and not path.is_fifo():
            raise RequestError(field="FILE", value=file, reason="it is no file: give an archive of turns")
        stream = path.open("rb")
    except (OSError, ValueError) as exc:
        if isinstance(exc, RequestError):
            raise
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "this is no possible path"
        raise RequestError(field="FILE", value=file, reason=f"{why}: give an archive of turns") from exc
    with stream:
        yield stream
