"""From a loaded model to what a conversation remembers of it, and back."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Final, cast

from attrs import asdict, evolve

from actorllama.cli.console.talk import Speaker
from actorllama.demo import model_path
from actorllama.runtime import LoadOptions, Model, Runtime

__all__ = ["DEMO", "find_speaker", "load_speaker", "name_for", "path_of", "speaker_of"]

DEMO: Final = "demo"
# What shapes a saved turn, and the room it has; threads and placement are the machine's own affair.
_REMEMBERED: Final = (
    "n_seq", "ctx_per_seq", "n_batch", "n_ubatch", "flash_attention", "layout", "type_k", "type_v",
)  # fmt: skip


def speaker_of(model: Model) -> Speaker:
    """Describe a loaded model."""
    options = asdict(model.context_options)
    path = Path(model.facts.path).resolve()
    return Speaker(
        name=model.name,
        path=DEMO if path == model_path().resolve() else str(path),
        options={name: options[name] for name in _REMEMBERED},
    )


def path_of(text: str) -> Path | None:
    """Read a model's path; ``demo`` is the embedded one, which is ``None`` here."""
    return None if text == DEMO else Path(text).expanduser()


def name_for(path: Path | None, taken: Container[str]) -> str:
    """Make a name for a model out of its file's."""
    stem = DEMO if path is None else re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:48] or "model"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


async def find_speaker(runtime: Runtime, speaker: Speaker) -> Speaker | None:
    """Find a loaded model of the same file; first among them one of the same name and options."""
    found = [speaker_of(runtime.model(status.name)) for status in await runtime.models()]
    same = [one for one in found if one.path == speaker.path]
    same.sort(key=lambda one: (one.options != speaker.options, one.name != speaker.name))
    return same[0] if same else None


async def load_speaker(runtime: Runtime, speaker: Speaker) -> Speaker:
    """Load a model as it was when the conversation was saved.

    Raises:
        ModelLoadError: The file cannot be used any more.
        RequestError: An option is not usable.
    """
    taken = {status.name for status in await runtime.models()}
    path = path_of(speaker.path)
    name = speaker.name if speaker.name not in taken else name_for(path, taken)
    options = cast("LoadOptions", dict(speaker.options))  # the runtime checks them
    model = await runtime.load(name, path, **options)
    return evolve(speaker_of(model), name=name)
