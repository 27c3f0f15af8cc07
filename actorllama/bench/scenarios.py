"""Named ways to run the benches, and the files that say the same: ``config/bench/*.toml``."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

from attrs import field, frozen

from actorllama.errors import ConfigError

__all__ = ["SCENARIOS", "Scenario", "ScenarioValue", "find_scenario", "render_scenario"]

ScenarioValue: TypeAlias = bool | int | float | str | tuple[int | float | str, ...]

_KEYS: Final = ("bench", "options")


@frozen(kw_only=True)
class Scenario:
    """What to measure, under a name; what is not said is as by default.

    Attributes:
        name: What ``--scenario`` takes: a built-in name, or the path of a file.
        bench: The command that it is for.
        about: What it is for, and how long it takes.
        options: By the long name of the command's option, with ``_`` for ``-``; a list where the option may
            be repeated. Whether there is such an option is the command's to say.
    """

    name: str
    bench: str
    about: str = ""
    options: Mapping[str, ScenarioValue] = field(factory=dict[str, ScenarioValue])


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        name="decode-15m",
        bench="decode",
        about="Decoding where overhead shows: 8 turns of the 15m shape. Takes 40 s.",
        options={"shape": "15m", "n": 8, "tokens": 256, "rounds": 9, "cost": False},
    ),
    Scenario(
        name="decode-05b",
        bench="decode",
        about="Decoding as with a small real model: 8 turns of the 0.5b shape. Takes 2 minutes.",
        options={"shape": "0.5b", "n": 8, "tokens": 256, "rounds": 9, "cost": False},
    ),
    Scenario(
        name="exactness-15m",
        bench="exactness",
        about="What exact costs against faithful, by the length of the prompt. Takes 1 minute.",
        options={"shape": "15m", "n": 2, "at": (512, 1024, 2048), "rounds": 5},
    ),
    Scenario(
        name="warm-4k",
        bench="warm",
        about="First tokens behind a prefix of 4k tokens, by where it is. Takes 2 minutes.",
        options={"shape": "15m", "at": (3968,), "suffix": 16, "neighbours": 2, "rounds": 5},
    ),
    Scenario(
        name="conversation",
        bench="conversation",
        about="8 conversations of 20 turns with one system prompt. Takes 2 minutes.",
        options={"shape": "15m", "conversations": 8, "turns": 20, "system": 512, "n": 4},
    ),
    Scenario(
        name="codec-demo",
        bench="codec",
        about="What the codecs save, cost and spoil on the demo model's states. Takes 10 s.",
        options={"tokens": 512, "boundaries": 4, "positions": 32},
    ),
    Scenario(
        name="eviction",
        bench="eviction",
        about="Eviction policies on a made trace of conversations, beside bounds. Takes 20 s.",
        options={"synthetic": "conversations", "requests": 2500, "attention_tokens": 8192},
    ),
    Scenario(
        name="actors",
        bench="actors",
        about="The kernel against bare trio. Takes 10 s.",
        options={"messages": 2000, "alive": 10_000, "rounds": 7},
    ),
    Scenario(
        name="scaling",
        bench="scaling",
        about="Costs against sequences, context, conversations and actors. Takes 2 minutes.",
        options={"shape": "15m", "rounds": 3, "tolerance": 0.2},
    ),
    Scenario(
        name="peers-15m",
        bench="peers",
        about="actorllama beside llama-server and llama-cpp-python, the 15m shape. Takes 8 minutes.",
        options={
            "shape": "15m",
            "side_by_side": (1, 4, 8, 16),
            "rounds": 5,
            "turns": 6,
            "system": 512,
            "restart_prompt": 4096,
        },
    ),
    Scenario(
        name="peers-full",
        bench="peers",
        about="The same with 20 turns behind a system prompt of 2k tokens. Takes 30 minutes.",
        options={
            "shape": "15m",
            "rounds": 15,
            "turns": 20,
            "system": 2048,
            "crowd_rounds": 8,
            "restart_prompt": 4096,
        },
    ),
)
"""Those that come with the package; each is a file in ``config/bench``."""


def find_scenario(given: str) -> Scenario:
    """Find a scenario by its built-in name, or read one from a file.

    Args:
        given: A name of `SCENARIOS`, or a path: what ends with ``.toml`` or has a ``/`` in it.

    Raises:
        ConfigError: There is none of this name, or the file cannot be read, is not TOML, or has keys that
            no scenario has; it names the key and the file.
    """
    if given.endswith(".toml") or "/" in given:
        return _read(Path(given))
    for scenario in SCENARIOS:
        if scenario.name == given:
            return scenario
    known = ", ".join(scenario.name for scenario in SCENARIOS)
    raise ConfigError(
        field="scenario", value=given, source="--scenario", hint=f"Known: {known}; or give a .toml file."
    )


def render_scenario(scenario: Scenario) -> str:
    """Write a scenario as the TOML that `find_scenario` reads."""
    lines = [
        f"# {scenario.about}",
        "#",
        f"#     actorllama bench {scenario.bench} --scenario {scenario.name}",
        "#",
        "# Generated by `python -m actorllama.bench.scenarios`. To change something, change a copy and give",
        "# its path, or say it behind the scenario: what the command line says wins.",
        "",
        f"bench = {json.dumps(scenario.bench)}",
        "",
        "[options]",
        *(f"{name} = {_literal(value)}" for name, value in scenario.options.items()),
    ]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> Scenario:
    source = str(path)
    try:
        document: dict[str, object] = tomllib.loads(path.read_bytes().decode())
    except OSError as exc:
        reason = exc.strerror or "cannot be read"
        raise ConfigError(field="scenario", value=source, source=source, hint=f"{reason}.") from exc
    except ValueError as exc:  # UnicodeDecodeError and TOMLDecodeError
        raise ConfigError(field="scenario", value=source, source=source, hint=f"Not TOML: {exc}.") from exc
    for key, value in document.items():
        if key not in _KEYS:
            hint = 'A scenario has bench = "..." and a table [options].'
            raise ConfigError(field=key, value=value, source=source, hint=hint)
    bench, options = document.get("bench"), document.get("options", {})
    if not isinstance(bench, str):
        hint = 'Say which bench it is for, as bench = "decode".'
        raise ConfigError(field="bench", value=bench, source=source, hint=hint)
    if not isinstance(options, dict):
        hint = "Put the options under [options]."
        raise ConfigError(field="options", value=options, source=source, hint=hint)
    return Scenario(
        name=source,
        bench=bench,
        options={
            name: _value(name, value, source) for name, value in cast("dict[str, object]", options).items()
        },
    )


def _value(name: str, value: object, source: str) -> ScenarioValue:
    if isinstance(value, bool | int | float | str):
        return value
    items = _items(value)
    if items is None:
        hint = "Use a number, a text, true or false, or a list of them."
        raise ConfigError(field=name, value=value, source=source, hint=hint)
    return items


def _items(value: object) -> tuple[int | float | str, ...] | None:
    """Give the items of a list; ``None`` if it is no list, or has other things in it."""
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    usable = tuple(item for item in items if isinstance(item, int | float | str))
    return usable if len(usable) == len(items) else None


def _literal(value: ScenarioValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return repr(value)


def _write_all(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS:
        (directory / f"{scenario.name}.toml").write_text(render_scenario(scenario), encoding="utf-8")


if __name__ == "__main__":
    _write_all(Path(sys.argv[1] if len(sys.argv) > 1 else "config/bench"))
