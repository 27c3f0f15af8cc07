"""The model that a bench is run on: a file of the user's, or a random one of a shape."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from attrs import frozen

from actorllama.cli.model_summary import summarise
from actorllama.cli.parameters import model_path_from
from actorllama.cli.screen import note
from actorllama.errors import RequestError

__all__ = ["TARGET", "BenchTarget", "target_from"]

_SHAPES: Final = ("15m", "0.5b")

TARGET: Final[tuple[click.Parameter, ...]] = (
    click.Option(["--model", "-m"], metavar="PATH", help="A GGUF file."),
    click.Option(
        ["--shape"], type=click.Choice(_SHAPES), help="A random model of this shape instead.  [default: 15m]"
    ),
    click.Option(["--threads", "n_threads"], type=int, default=0, show_default=True, help="0: one per core."),
)
"""Parameters ``model``, ``shape`` and ``n_threads``."""


@frozen(kw_only=True)
class BenchTarget:
    """What is measured."""

    path: Path
    label: str
    n_ctx_train: int
    """Tokens of context that it was trained for."""


def target_from(model: str | None, shape: str | None) -> BenchTarget:
    """Find the file, or write the random one; an unusable one is told before anything is started.

    Raises:
        RequestError: Both were given.
    """
    from actorllama.bench import shape_path

    if model is not None and shape is not None:
        raise RequestError(field="shape", value=shape, reason="give either a model or a shape")
    path = model_path_from(model)
    label = shape or _SHAPES[0] if path is None else path.name
    if path is None:
        note(f"random model {label}: written on first use, then kept")
        path = shape_path(label)
    return BenchTarget(path=path, label=label, n_ctx_train=summarise(path).n_ctx_train)
