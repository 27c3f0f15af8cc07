"""How a room declares an option: default, words, unit and bounds, each written once.

Each room owns one or more option classes, ``@frozen(kw_only=True)``, whose fields are made by `option`::

    @frozen(kw_only=True)
    class EngineOptions:
        n_seq: int = option(8, doc="Sequences that may decode side by side.", at_least=1, at_most=256)

A value of the wrong type or out of bounds is refused when the object is built, whoever builds it.
`actorllama.config` reads the same declarations to merge the sources and to write ``config/default.toml``.
This module stands on the bottom row beside ``errors`` and ``ids`` so that every room can import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TypeVar, cast

import attrs

__all__ = ["OptionDoc", "option", "option_docs"]

T = TypeVar("T")
_KEY = "actorllama.option"


@attrs.frozen(kw_only=True)
class OptionDoc:
    """What is known about one option besides its type and value."""

    name: str = ""
    doc: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[object, ...] = ()

    def bounds(self) -> str:
        """Tell the bounds in a few words; empty where there are none."""
        if self.one_of:
            return "one of " + ", ".join(str(choice) for choice in self.one_of)
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least} to {self.at_most}"
        if self.at_least is not None:
            return f"at least {self.at_least}"
        return "" if self.at_most is None else f"at most {self.at_most}"


def option(
    default: T,
    *,
    doc: str,
    unit: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    one_of: Collection[object] = (),
    validator: Callable[[object, attrs.Attribute[T], T], object] | None = None,
) -> T:
    """Declare one field of an option class.

    ``None`` as a value means "absent" and passes every bound, where ``None`` is the default.

    Args:
        default: The value when nobody says otherwise. Its type is the type that is enforced
            (an integer is welcome where a float stands; a boolean is not an integer).
        doc: One sentence for ``config/default.toml`` and the reference.
        unit: The unit in words where the field's name does not carry it.
        at_least: Least value allowed.
        at_most: Greatest value allowed.
        one_of: The only values allowed.
        validator: One more check, as attrs takes it; raises ``ValueError`` or ``TypeError``.

    Returns:
        An attrs field, typed as its default so that the class body reads plainly.
    """
    facts = OptionDoc(doc=doc, unit=unit, at_least=at_least, at_most=at_most, one_of=tuple(one_of))

    def check(instance: object, attribute: attrs.Attribute[T], value: T) -> None:
        if value is None and default is None:
            return
        _check_type(attribute.name, default, value)
        _check_bounds(attribute.name, facts, value)
        if validator is not None:
            validator(instance, attribute, value)

    return attrs.field(default=default, validator=check, metadata={_KEY: facts})


def option_docs(options_class: type[attrs.AttrsInstance]) -> tuple[OptionDoc, ...]:
    """List the declared options of a class, in order, each with its name.

    Raises:
        TypeError: A field was not made by `option`; it would have no words in the reference.
    """
    found: list[OptionDoc] = []
    for attribute in attrs.fields(options_class):
        facts = attribute.metadata.get(_KEY)
        if not isinstance(facts, OptionDoc):
            raise TypeError(f"{options_class.__name__}.{attribute.name} is not declared by option()")
        found.append(attrs.evolve(facts, name=attribute.name))
    return tuple(found)


def _check_type(name: str, default: object, value: object) -> None:
    expected = type(default)
    if default is None or type(value) is expected:
        return
    if expected is float and type(value) is int:
        return
    raise TypeError(f"{name!r} must be {expected.__name__}, not {type(value).__name__}: {value!r}")


def _check_bounds(name: str, facts: OptionDoc, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name!r} must be finite: {value!r}")
    if facts.one_of and value not in facts.one_of:
        raise ValueError(f"{name!r} must be {facts.bounds()}: {value!r}")
    if facts.at_least is None and facts.at_most is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name!r} must be a number: {value!r}")
    number = cast("float", value)
    too_small = facts.at_least is not None and number < facts.at_least
    if too_small or (facts.at_most is not None and number > facts.at_most):
        raise ValueError(f"{name!r} must be {facts.bounds()}: {value!r}")
