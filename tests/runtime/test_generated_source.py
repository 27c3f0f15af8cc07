"""What attrs wrote is forgotten for our classes, and only for ours."""

from __future__ import annotations

import linecache
import traceback

import attrs
import pytest

from actorllama.runtime.generated_source import forget_generated_source

OURS = "<attrs generated methods actorllama."


@attrs.frozen
class Foreign:
    """A class of somebody else's, as far as its module says."""

    size: int


def kept() -> set[str]:
    """Name the texts that are there."""
    return {name for name in linecache.cache if name.startswith("<attrs generated methods ")}


def a_class_of_ours(name: str) -> type:
    """Make a class that says it is of this package, as attrs sees it."""
    body = {"__annotations__": {"size": int}, "__module__": "actorllama.example"}
    return attrs.frozen(type(name, (), body))


def test_texts_of_our_classes_go_and_others_stay() -> None:
    ours = a_class_of_ours("OfOurs")
    others = {name for name in kept() if not name.startswith(OURS)}
    assert f"<attrs generated methods {Foreign.__module__}.Foreign>" in others
    assert f"{OURS}example.OfOurs>" in kept()
    assert forget_generated_source() > 0
    assert kept() == others
    assert forget_generated_source() == 0
    assert repr(ours(3)) == "OfOurs(size=3)"
    assert ours(3) == ours(3) != ours(4)


def test_a_traceback_through_a_method_without_text_names_it() -> None:
    ours = a_class_of_ours("WithoutText")
    forget_generated_source()
    with pytest.raises(TypeError) as raised:
        hash(ours([]))
    lines = "".join(traceback.format_exception(raised.value))
    assert f"{OURS}example.WithoutText>" in lines
    assert "in __hash__" in lines
