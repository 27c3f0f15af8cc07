"""Options that several commands have, and the checked values that they become."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from attrs import frozen

from actorllama.errors import RequestError
from actorllama.native import SamplingParams
from actorllama.native.sampling import check_number

__all__ = [
    "JSON",
    "LAYOUT",
    "SAMPLING",
    "Asking",
    "asking_from",
    "checked_text",
    "layout_from",
    "model_path_from",
]

_DEFAULTS: Final = SamplingParams()
_MAX_VOCABULARY: Final = 1 << 20
_MAX_TOKENS: Final = 1 << 24
_MAX_TIMEOUT_S: Final = 1e9

SAMPLING: Final = (
    click.Option(
        ["--max-tokens"], type=int, default=256, show_default=True, help="Tokens of a reply at most."
    ),
    click.Option(
        ["--temperature"],
        type=float,
        default=_DEFAULTS.temperature,
        show_default=True,
        help="0 takes the most probable token; higher is more varied.",
    ),
    click.Option(
        ["--top-k"],
        type=int,
        default=_DEFAULTS.top_k,
        show_default=True,
        help="Keep the K best tokens; 0: all.",
    ),
    click.Option(
        ["--top-p"],
        type=float,
        default=_DEFAULTS.top_p,
        show_default=True,
        help="Keep the best tokens that add up to P; 1: all.",
    ),
    click.Option(
        ["--min-p"],
        type=float,
        default=_DEFAULTS.min_p,
        show_default=True,
        help="Drop what is less probable than this share of the best.",
    ),
    click.Option(
        ["--seed"],
        type=int,
        default=_DEFAULTS.seed,
        show_default=True,
        help="The same seed gives the same reply.",
    ),
    click.Option(
        ["--stop"], multiple=True, metavar="TEXT", help="End the reply before this text; may be repeated."
    ),
    click.Option(
        ["--timeout", "timeout_s"], type=float, metavar="SECONDS", help="Give a reply up after so long."
    ),
)
"""What a turn asks for."""

LAYOUT: Final = (
    click.Option(["--n-seq", "n_seq"], type=int, help="Sequences side by side.  [default: 8]"),
    click.Option(
        ["--ctx", "ctx_per_seq"], type=int, help="Tokens that each sequence can hold.  [default: 2048]"
    ),
    click.Option(["--threads", "n_threads"], type=int, help="CPU threads; 0: one per core.  [default: 0]"),
)
"""How the context is laid out; what is not given comes from the configuration."""

JSON: Final = click.Option(["--json", "as_json"], is_flag=True, help="Answer with exactly one JSON object.")


@frozen(kw_only=True)
class Asking:
    """What every turn of a command asks for; each value is within its bounds."""

    max_tokens: int
    sampling: SamplingParams
    stop: tuple[str, ...]
    timeout_s: float | None


def asking_from(context: click.Context) -> Asking:
    """Read the `SAMPLING` options of a command line.

    They are checked here, with the engine's own bounds, so that a mistake is told before a model is loaded.

    Raises:
        RequestError: The first one that is not usable.
    """
    given = context.params
    sampling = SamplingParams(
        temperature=given["temperature"],
        top_k=given["top_k"],
        top_p=given["top_p"],
        min_p=given["min_p"],
        seed=given["seed"],
    )
    asking = Asking(
        max_tokens=given["max_tokens"],
        sampling=sampling.checked(n_vocab=_MAX_VOCABULARY),
        stop=tuple(checked_text(text, field="stop") for text in given["stop"]),
        timeout_s=given["timeout_s"],
    )
    check_number("max_tokens", asking.max_tokens, low=1, high=_MAX_TOKENS, integer=True)
    if asking.timeout_s is not None:
        check_number("timeout_s", asking.timeout_s, low=0.0, high=_MAX_TIMEOUT_S, above_low=True)
    return asking


def layout_from(context: click.Context) -> dict[str, object]:
    """Read the `LAYOUT` options of a command line as arguments of the configuration.

    Their bounds are those of the options that they override; `App.with_arguments` checks them.
    """
    fields = ("n_seq", "ctx_per_seq", "n_threads")
    given: dict[str, object] = {f"context.{field}": context.params.get(field) for field in fields}
    return {name: value for name, value in given.items() if value is not None}


def checked_text(text: str, *, field: str) -> str:
    """Refuse an empty text, and one that holds bytes of no character.

    Raises:
        RequestError: With what is wrong.
    """
    if not text:
        raise RequestError(field=field, value=text, reason="is empty: give at least one character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            field=field, value=text, reason=f"is not UTF-8 at character {error.start}"
        ) from error
    return text


def model_path_from(text: str | None) -> Path | None:
    """Read a MODEL argument; ``None`` and ``demo`` are the embedded model."""
    return None if text is None or text == "demo" else Path(text)
