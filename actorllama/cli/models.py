"""``actorllama models``: the GGUF files at hand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click
from attrs import frozen

from actorllama.cli.examples import examples
from actorllama.cli.model_summary import ModelSummary, summarise
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say_json, say_table, size_of
from actorllama.demo import model_path
from actorllama.errors import ModelLoadError, RequestError

__all__ = ["command", "find_models"]

_LATER_PART: Final = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


@frozen(kw_only=True)
class FoundModel:
    """A file that is a model, or why it is not."""

    path: str
    summary: ModelSummary | None
    reason: str | None


@click.command(
    "models",
    params=[click.Argument(["folders"], metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path)), JSON],
    epilog=examples("actorllama models", "actorllama models . --json"),
)
def command(*, folders: tuple[Path, ...], as_json: bool) -> None:
    """List the GGUF files at hand.

    The embedded demo model, those in the working directory, and those anywhere below each DIR. What cannot
    be loaded is listed with the reason.
    """
    found = [_look_at(path) for path in find_models(folders)]
    if as_json:
        say_json({"models": [_as_json(one) for one in found]})
        return
    usable = [one.summary for one in found if one.summary is not None]
    say_table(("ARCHITECTURE", "SIZE", "CONTEXT", "QUANTISATION", "PATH"), map(_row, usable))
    for one in found:
        if one.reason is not None:
            note(f"{one.path}: {one.reason}")


def find_models(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Find model files, each once; of a model in several files only the first.

    Raises:
        RequestError: A folder is none, or cannot be read.
    """
    candidates = [model_path(), *_in_folder(Path(), is_deep=False)]
    for folder in folders:
        if not folder.is_dir():
            raise RequestError(field="DIR", value=str(folder), reason="there is no such directory")
        candidates.extend(_in_folder(folder, is_deep=True))
    unique = {path.resolve(): path for path in reversed(candidates)}
    return tuple(path for path in dict.fromkeys(candidates) if unique[path.resolve()] == path)


def _in_folder(folder: Path, *, is_deep: bool) -> Iterator[Path]:
    """Give a folder's GGUF files by name; what may not be looked into is passed over."""
    for here, below, names in os.walk(folder):
        below.sort()
        if not is_deep:
            below.clear()
        for name in sorted(names):
            if name.lower().endswith(".gguf") and not _LATER_PART.search(name):
                yield Path(here) / name


def _look_at(path: Path) -> FoundModel:
    try:
        return FoundModel(path=str(path), summary=summarise(path), reason=None)
    except ModelLoadError as error:
        return FoundModel(path=str(path), summary=None, reason=error.reason)


def _row(summary: ModelSummary) -> tuple[str, ...]:
    return (
        summary.architecture,
        size_of(summary.file_bytes),
        str(summary.n_ctx_train),
        summary.main_quantisation,
        summary.path,
    )


def _as_json(found: FoundModel) -> dict[str, object]:
    if found.summary is None:
        return {"path": found.path, "is_usable": False, "reason": found.reason}
    return {
        "path": found.path,
        "is_usable": True,
        "name": found.summary.name,
        "architecture": found.summary.architecture,
        "file_bytes": found.summary.file_bytes,
        "n_params": found.summary.n_params,
        "n_ctx_train": found.summary.n_ctx_train,
        "quantisation": found.summary.main_quantisation,
        "has_chat_template": found.summary.chat_template is not None,
    }
