"""Where a bench's options come from: its defaults, then a scenario, then the command line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import click

from actorllama.errors import ConfigError

if TYPE_CHECKING:
    from actorllama.bench.scenarios import Scenario, ScenarioValue

__all__ = ["SCENARIO", "option_key", "scenario_in_use", "scenario_options"]

_NOT_IN_SCENARIOS: Final = frozenset({"scenario", "json", "plot", "help"})
_META: Final = "actorllama.bench.scenario"


def _use_scenario(context: click.Context, _parameter: click.Parameter, given: str | None) -> None:
    """Take what a scenario says as the defaults of the other options.

    Raises:
        ConfigError: There is no such scenario, it is for another bench, or it says what the command does not
            know or cannot use; the key and the file are named.
    """
    if given is None or context.resilient_parsing:
        return
    from actorllama.bench.scenarios import find_scenario

    scenario = find_scenario(given)
    if scenario.bench != context.info_name:
        hint = f"Run: actorllama bench {scenario.bench} --scenario {given}"
        raise ConfigError(field="bench", value=scenario.bench, source=scenario.name, hint=hint)
    context.default_map = scenario_options(context, scenario)
    context.meta[_META] = given


SCENARIO: Final = click.Option(
    ["--scenario"],
    metavar="NAME|FILE",
    is_eager=True,
    callback=_use_scenario,
    expose_value=False,
    help="Take the options from one of config/bench, or from a TOML file like those.",
)


def scenario_in_use() -> str | None:
    """Name the scenario of the command that runs; ``None`` if it was told everything by hand."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_META)


def option_key(parameter: click.Parameter) -> str:
    """Name an option as a scenario does: ``--at`` is ``at``, ``--token-bytes`` is ``token_bytes``."""
    longest = max(parameter.opts, key=len)
    return longest.lstrip("-").replace("-", "_")


def scenario_options(context: click.Context, scenario: Scenario) -> dict[str, object]:
    """Hold what a scenario says against a command's options.

    Returns:
        The values by the names of the command's parameters.

    Raises:
        ConfigError: A key is unknown, or its value is not usable.
    """
    known = {option_key(parameter): parameter for parameter in context.command.params}
    known = {key: parameter for key, parameter in known.items() if key not in _NOT_IN_SCENARIOS}
    found: dict[str, object] = {}
    for key, value in scenario.options.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(field=key, value=value, source=scenario.name, hint=hint)
        parameter = known[key]
        try:
            typed: object = parameter.type_cast_value(context, _as_typed_by_hand(value))
        except click.BadParameter as exc:
            raise ConfigError(
                field=key, value=value, source=scenario.name, hint=exc.message.capitalize()
            ) from exc
        found[parameter.name or key] = typed
    return found


def _as_typed_by_hand(value: ScenarioValue) -> object:
    """Give texts, as a command line would: click makes 8 of 8.5, and 1 of true, but of no text."""
    return [str(item) for item in value] if isinstance(value, tuple) else str(value)
