"""The three sources that can change a default: a TOML file, the environment, arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import cast

from actorllama.config.setting import Setting
from actorllama.errors import ConfigError

__all__ = ["PREFIX", "read_arguments", "read_environment", "read_toml", "suggest"]

PREFIX = "ACTORLLAMA_"


def read_toml(path: Path) -> Iterator[Setting]:
    """Read ``[section]`` tables of ``field = value`` from a file.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or has a value outside a section.
    """
    import tomllib  # a quarter of a megabyte with its patterns: many programs have no file

    source = str(path)
    try:
        document: Mapping[str, object] = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(field="file", value=source, source=source, hint=f"{reason}.") from error
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError
        raise ConfigError(field="file", value=source, source=source, hint=f"Not TOML: {error}.") from error
    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(field=section, value=table, source=source, hint="Put it under a [section].")
        for field, value in cast("Mapping[str, object]", table).items():
            yield Setting(section=section, field=field, value=value, source=source, is_text=False)


def read_environment(env: Mapping[str, str], sections: Collection[str]) -> Iterator[Setting]:
    """Read ``ACTORLLAMA_<SECTION>_<FIELD>`` variables; others are none of our business.

    Raises:
        ConfigError: A variable begins with ``ACTORLLAMA_`` and names no section.
    """
    for variable in sorted(env):
        if not variable.startswith(PREFIX):
            continue
        source = f"environment variable {variable}"
        name = variable.removeprefix(PREFIX).lower()
        section = next((known for known in sections if name.startswith(f"{known}_")), None)
        if section is None:
            known_names = [f"{PREFIX}{known.upper()}_" for known in sections]
            hint = f"Such variables begin with {' or '.join(known_names)}."
            raise ConfigError(field=name, value=env[variable], source=source, hint=hint)
        field = name.removeprefix(f"{section}_")
        yield Setting(section=section, field=field, value=env[variable], source=source, is_text=True)


def read_arguments(arguments: Mapping[str, object]) -> Iterator[Setting]:
    """Read ``{"section.field": value}``; a text is parsed, any other value is checked.

    Raises:
        ConfigError: A key has no dot.
    """
    for name, value in arguments.items():
        section, dot, field = name.partition(".")
        if not dot:
            hint = "Name an option as section.field."
            raise ConfigError(field=name, value=value, source="arguments", hint=hint)
        yield Setting(
            section=section, field=field, value=value, source="arguments", is_text=isinstance(value, str)
        )


def suggest(name: str, known: Collection[str]) -> str:
    """Name the nearest of the known names, or all of them where none is near."""
    import difflib  # for a mistake only

    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."
