"""``actorllama cache export``: turns in one file, to be resumed elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from actorllama.cli.app import App
from actorllama.cli.cache_export_turns import ExportedTurns
from actorllama.cli.cache_output import output_to
from actorllama.cli.cache_root import STATE_DIR, count_of, find_entries, open_survey
from actorllama.cli.examples import examples
from actorllama.cli.failures import EXIT_FAILED, EXIT_OK
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say, say_json
from actorllama.errors import RequestError
from actorllama.kvcache import ArchiveWriter, KnownFile, Survey

__all__ = ["command"]


@click.command(
    "export",
    params=[
        click.Argument(["keys"], metavar="[KEY]...", nargs=-1),
        STATE_DIR,
        click.Option(
            ["-o", "--output"], required=True, metavar="FILE", help="Where to; - is standard output."
        ),
        click.Option(["--all", "takes_all"], is_flag=True, help="Every saved turn."),
        click.Option(["--force", "is_forced"], is_flag=True, help="Replace FILE if it exists."),
        JSON,
    ],
    epilog=examples(
        "actorllama cache export --state-dir state --all -o saved.tar",
        "actorllama cache export --state-dir state --all -o - | actorllama cache import --state-dir other -",
    ),
)
@click.pass_obj
def command(
    app: App,
    *,
    keys: Sequence[str],
    state_dir: Path,
    output: str,
    takes_all: bool,
    is_forced: bool,
    as_json: bool,
) -> int:
    """Write turns, with all their rows, into one file.

    `actorllama cache import` takes it in on another machine; there the turn is resumed by the same key. It
    is of use to a context of the same namespace: the same model file, build of llama.cpp and settings. The
    file holds what was said: it is made for its owner only. Rows that are gone are computed again where the
    turn is resumed. Exit code 1 if something was damaged and is left out.
    """
    if takes_all == bool(keys):
        reason = "give the keys of turns, as `actorllama cache ls --kind snapshot` shows them, or --all"
        raise RequestError(field="KEY", value=" ".join(keys), reason=reason)
    is_pipe = output == "-"
    if is_pipe:
        _check_pipe(output, as_json=as_json)
    survey = open_survey(state_dir)
    turns = [one for one, _ in survey.turns()] if takes_all else _find_turns(survey, keys)
    exported = ExportedTurns(survey, limit_bytes=app.config.cache.disk_limit_bytes)
    with output_to(output, is_forced=is_forced) as stream:
        writer = ArchiveWriter(stream)
        for one in sorted(turns, key=lambda one: one.used_ns):
            exported.add(writer, one, codec=app.config.cache.disk_codec)
        writer.close()
    answer = exported.to_json(output, writer.n_bytes)
    if as_json:
        say_json(answer)
    else:
        (note if is_pipe else say)(exported.line(writer.n_bytes))
        for namespace in exported.namespaces:
            note(f"for namespace {namespace}")
    if exported.n_missing:
        note(f"{count_of(exported.n_missing, 'entry')} of their rows gone: those are computed again")
    for problem in exported.problems:
        note(f"left out: {problem}")
    return EXIT_FAILED if exported.problems else EXIT_OK


def _check_pipe(output: str, *, as_json: bool) -> None:
    if as_json:
        raise RequestError(
            field="--json", value=as_json, reason="standard output has the archive: leave it out"
        )
    if sys.stdout.isatty():
        raise RequestError(field="-o", value=output, reason="is a terminal: write to a file, or into a pipe")


def _find_turns(survey: Survey, keys: Sequence[str]) -> list[KnownFile]:
    turns = find_entries(survey, keys)
    for one in turns:
        if one.facts is not None and one.facts.kind != "snapshot":
            reason = f"is a {one.facts.kind}: give the key of a turn, which brings its rows along"
            raise RequestError(field="KEY", value=one.key, reason=reason)
    return list(turns)
