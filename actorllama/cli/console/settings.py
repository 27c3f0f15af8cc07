"""What ``/set`` may set: the numbers of a turn, each checked with the engine's own bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from attrs import fields

from actorllama.cli.console.talk import Setting
from actorllama.errors import RequestError
from actorllama.native import SamplingParams
from actorllama.native.sampling import check_number
from actorllama.runtime import SamplingOptions

__all__ = ["MAX_TOKENS", "SETTINGS", "checked", "described", "parse_setting", "sampling_of"]

MAX_TOKENS: Final = "max_tokens"
_N_MOST: Final = 1 << 24
_VOCABULARY: Final = 1 << 20
_DEFAULT_MAX_TOKENS: Final = 512


def _defaults() -> dict[str, Setting]:
    found: dict[str, Setting] = {MAX_TOKENS: _DEFAULT_MAX_TOKENS}
    for one in fields(SamplingParams):
        if isinstance(one.default, int | float) and not isinstance(one.default, bool):
            found[one.name] = one.default
    return found


SETTINGS: Final[Mapping[str, Setting]] = _defaults()
"""Every setting with its default."""


def parse_setting(text: str) -> tuple[str, Setting]:
    """Read ``temperature 0.7`` or ``temperature=0.7``.

    Raises:
        RequestError: There is no such setting, or the value is not usable.
    """
    name, _, value = text.replace("=", " ", 1).partition(" ")
    if name not in SETTINGS:
        raise RequestError(field="/set", value=name, reason=f"the settings are {', '.join(SETTINGS)}")
    is_integer = isinstance(SETTINGS[name], int)
    try:
        number: Setting = int(value) if is_integer else float(value)
    except ValueError as error:
        kind = "an integer" if is_integer else "a number"
        raise RequestError(field=name, value=value.strip(), reason=f"must be {kind}") from error
    checked({name: number})
    return name, number


def checked(settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """Return settings if every one of them is usable.

    Raises:
        RequestError: The first one that is not.
    """
    for name in settings:
        if name not in SETTINGS:
            raise RequestError(field="setting", value=name, reason="there is no such setting")
    n_most = settings.get(MAX_TOKENS, _DEFAULT_MAX_TOKENS)
    check_number(MAX_TOKENS, n_most, low=1, high=_N_MOST, integer=True)
    SamplingParams(**sampling_of(settings)).checked(n_vocab=_VOCABULARY)
    return settings


def sampling_of(settings: Mapping[str, Setting]) -> SamplingOptions:
    """Give what of the settings the sampler takes."""
    chosen = {name: value for name, value in settings.items() if name != MAX_TOKENS}
    return cast("SamplingOptions", chosen)


def described(settings: Mapping[str, Setting]) -> list[tuple[str, str]]:
    """Give every setting and its value, those that were set marked."""
    return [
        (name, f"{settings[name]} (default {default})" if name in settings else str(default))
        for name, default in SETTINGS.items()
    ]
