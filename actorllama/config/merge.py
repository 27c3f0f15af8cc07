"""Merges settings into option objects; the last setting of a field wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias, TypeVar, cast, get_type_hints

import attrs

from actorllama.config.parsing import check_value, parse_text
from actorllama.config.setting import Setting
from actorllama.config.sources import suggest
from actorllama.errors import ConfigError

__all__ = ["Constructor", "Sections", "merge"]

Sections: TypeAlias = Mapping[str, type[attrs.AttrsInstance]]
Built = TypeVar("Built", covariant=True)
Options = TypeVar("Options", bound=attrs.AttrsInstance)


class Constructor(Protocol[Built]):
    """A class seen as what it does with keywords that were checked before."""

    def __call__(self, **values: object) -> Built:
        """Build an object."""
        ...


def merge(sections: Sections, settings: Iterable[Setting]) -> dict[str, attrs.AttrsInstance]:
    """Build one object per section.

    Args:
        sections: The option class of each section.
        settings: In rising order of weight.

    Raises:
        ConfigError: A section or field is unknown, or a value is not usable. Every setting is checked,
            also one that a later source overrides: a mistake does not hide behind another source.
    """
    values: dict[str, dict[str, object]] = {name: {} for name in sections}
    sources: dict[str, Setting] = {}
    for setting in settings:
        if setting.section not in sections:
            raise _refuse(setting, setting.section, suggest(setting.section, sections))
        options_class = sections[setting.section]
        value = _typed(setting, options_class)
        _check_alone(setting, options_class, value)
        values[setting.section][setting.field] = value
        sources[setting.name] = setting
    return {name: _build(name, sections[name], values[name], sources) for name in sections}


def _typed(setting: Setting, options_class: type[attrs.AttrsInstance]) -> object:
    known = [attribute.name for attribute in attrs.fields(options_class)]
    if setting.field not in known:
        raise _refuse(setting, setting.name, suggest(setting.field, known))
    kind = get_type_hints(options_class)[setting.field]
    try:
        if setting.is_text:
            return parse_text(str(setting.value), kind)
        return check_value(setting.value, kind)
    except ValueError as error:
        raise _refuse(setting, setting.name, str(error)) from error


def _check_alone(setting: Setting, options_class: type[Options], value: object) -> None:
    """Run the validators of one field, so that an error names the source of this very value."""
    attribute = attrs.fields_dict(options_class)[setting.field]
    if attribute.validator is None:
        return
    try:
        attribute.validator(options_class(), attribute, value)
    except (TypeError, ValueError) as error:
        raise _refuse(setting, setting.name, f"{error}.") from error


def _build(
    name: str, options_class: type[Options], values: Mapping[str, object], sources: Mapping[str, Setting]
) -> Options:
    try:
        return cast("Constructor[Options]", options_class)(**values)
    except (TypeError, ValueError) as error:  # options that do not go together
        given = {field: sources[f"{name}.{field}"].source for field in values}
        origin = ", ".join(sorted(set(given.values())))
        raise ConfigError(field=name, value=dict(values), source=origin, hint=f"{error}.") from error


def _refuse(setting: Setting, field: str, hint: str) -> ConfigError:
    return ConfigError(field=field, value=setting.value, source=setting.source, hint=hint)
