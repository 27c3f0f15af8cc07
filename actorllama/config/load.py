"""Gathers the sources into a `Config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from actorllama.config.config import SECTIONS, Config
from actorllama.config.merge import Constructor, merge
from actorllama.config.setting import Setting
from actorllama.config.sources import read_arguments, read_environment, read_toml

__all__ = ["gather_settings", "load_config"]


def load_config(
    *,
    toml_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> Config:
    """Merge defaults < TOML file < environment < arguments.

    Reads the file and nothing else; the result depends on the arguments alone (and on ``os.environ``
    where ``env`` is ``None``).

    Args:
        toml_path: A file of ``[section]`` tables, as ``config/default.toml``; ``None`` for no file.
        env: Variables named ``ACTORLLAMA_<SECTION>_<FIELD>``, for instance
            ``ACTORLLAMA_TELEMETRY_LOG_LEVEL``; others are ignored. ``None`` is the process's own.
        arguments: ``{"section.field": value}``; texts are parsed as from the environment.

    Raises:
        ConfigError: A file cannot be read, a name is unknown (the nearest one is suggested), a value
            cannot be parsed or is out of bounds.
    """
    build = cast("Constructor[Config]", Config)  # the fields are the sections, by construction
    settings = gather_settings(toml_path=toml_path, env=env, arguments=arguments)
    return build(**merge(SECTIONS, settings))


def gather_settings(
    *,
    toml_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> list[Setting]:
    """List what the sources say, in rising order of weight, before it is checked.

    Args:
        toml_path: As for `load_config`.
        env: As for `load_config`.
        arguments: As for `load_config`.

    Raises:
        ConfigError: A source cannot be read as settings at all.
    """
    settings: list[Setting] = []
    if toml_path is not None:
        settings += read_toml(toml_path)
    settings += read_environment(os.environ if env is None else env, SECTIONS)
    settings += read_arguments(arguments or {})
    return settings
