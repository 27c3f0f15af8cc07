from pathlib import Path
from typing import Literal

import pytest

from actorllama.config.parsing import check_value, name_of, parse_text


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("true", bool, True),
        (" YES ", bool, True),
        ("on", bool, True),
        ("1", bool, True),
        ("False", bool, False),
        ("0", bool, False),
        ("8", int, 8),
        (" -1 ", int, -1),
        ("1_000", int, 1000),
        ("0.5", float, 0.5),
        ("2", float, 2.0),
        ("a b", str, "a b"),
        ("/m.gguf", Path, Path("/m.gguf")),
        ("auto", Literal["auto", "json"], "auto"),
        ("", int | None, None),
        ("None", Path | None, None),
        ("7", int | None, 7),
        ("1, 2,3", tuple[int, ...], (1, 2, 3)),
        ("", tuple[str, ...], ()),
    ],
)
def test_a_text_says_a_value(text: str, kind: object, expected: object) -> None:
    parsed = parse_text(text, kind)
    assert parsed == expected
    assert type(parsed) is type(expected)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("maybe", bool),
        ("", bool),
        ("4.0", int),
        ("four", int),
        ("", int),
        ("x", float),
        ("xml", Literal["auto", "json"]),
        ("1,x", tuple[int, ...]),
        ("x", int | None),
    ],
)
def test_a_text_that_does_not_say_such_a_value_is_refused(text: str, kind: object) -> None:
    with pytest.raises(ValueError, match="Use "):
        parse_text(text, kind)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, bool, True),
        (3, int, 3),
        (3, float, 3.0),
        ("/m", Path, Path("/m")),
        (None, int | None, None),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ("json", Literal["auto", "json"], "json"),
    ],
)
def test_a_typed_value_is_taken_as_it_is(value: object, kind: object, expected: object) -> None:
    checked = check_value(value, kind)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, bool),
        (True, int),
        (3.0, int),
        ("3", int),
        (None, int),
        (3, str),
        ("a", tuple[str, ...]),
        (["a", 1], tuple[str, ...]),
        (True, float),
        (1, Path),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, kind: object) -> None:
    with pytest.raises(ValueError, match="Use "):
        check_value(value, kind)


@pytest.mark.parametrize("kind", [dict, int | str, int | str | None])
def test_an_option_of_an_unsupported_type_is_a_bug_in_its_class(kind: object) -> None:
    with pytest.raises(TypeError):
        check_value({}, kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (bool, "boolean"),
        (int | None, "integer"),
        (float, "number"),
        (str, "text"),
        (Path, "path"),
        (tuple[int, ...], "list of integer"),
        (Literal["a"], "text"),
    ],
)
def test_types_have_names_for_people(kind: object, expected: str) -> None:
    assert name_of(kind) == expected
