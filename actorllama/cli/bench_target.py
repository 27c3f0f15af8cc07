"""The model that a bench is run on: a file of the user's, or a random one of a shape."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from attrs import frozen

from actorllama.cli.model_summary import summarise
from actorllama.cli.parameters import model_path_from
from actorllama.cli.screen import note
from actorllama.demo import model_path
from actorllama.errors import RequestError

__all__ = ["TARGET", "BenchTarget", "n_ctx_train_of", "target_from"]

_SHAPES: Final = ("15m", "0.5b")

TARGET: Final[tuple[click.Parameter, ...]] = (
    click.Option(["--model", "-m"], metavar="PATH", help="A GGUF file, or demo."),
    click.Option(
        ["--shape"], type=click.Choice(_SHAPES), help="A random model of this shape instead.  [default: 15m]"
    ),
    click.Option(
        ["--threads", "n_threads"],
        type=click.IntRange(0, 512),
        default=0,
        show_default=True,
        help="0: one per core.",
    ),
)
"""Parameters ``model``, ``shape`` and ``n_threads``."""


@frozen(kw_only=True)
class BenchTarget:
    """What is measured."""

    given: Path | None
    """The user's file; ``None`` for a random one."""
    label: str

    @property
    def path(self) -> Path:
        """The file; a random one is written on first use."""
        if self.given is not None:
            return self.given
        from actorllama.bench import shape_path

        note(f"random model {self.label}: written on first use, then kept")
        return shape_path(self.label)


def target_from(model: str | None, shape: str | None) -> BenchTarget:
    """Find out what is to be measured; an unusable file is told before anything is started or written.

    Raises:
        RequestError: Both were given.
        ModelLoadError: The file cannot be used.
    """
    if model is not None and shape is not None:
        raise RequestError(field="shape", value=shape, reason="give either a model or a shape")
    path = model_path_from(model)
    if path is None:
        return (
            BenchTarget(given=model_path(), label="demo")
            if model
            else BenchTarget(given=None, label=shape or _SHAPES[0])
        )
    summarise(path)
    return BenchTarget(given=path, label=path.name)


def n_ctx_train_of(path: Path) -> int:
    """Tell the tokens of context that a model was trained for."""
    return summarise(path).n_ctx_train
