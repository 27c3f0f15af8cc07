import attrs
import pytest
from attrs import frozen

from actorllama.options import OptionDoc, option, option_docs


def refuse_seven(_instance: object, attribute: "attrs.Attribute[int]", value: int) -> None:
    if value == 7:
        raise ValueError(f"{attribute.name} is seven")


@frozen(kw_only=True)
class Options:
    n_seq: int = option(8, doc="Sequences.", at_least=1, at_most=16, validator=refuse_seven)
    n_least: int = option(1, doc="Least.", at_least=1)
    share_ratio: float = option(0.5, doc="Share.", at_most=1, unit="parts")
    form: str = option("auto", doc="Form.", one_of=("auto", "json"))
    is_on: bool = option(False, doc="On.")
    path: str | None = option(None, doc="Path.")
    limit_bytes: int | None = option(None, doc="Limit.", at_least=0)
    stops: tuple[str, ...] = option((), doc="Stops.")


def test_defaults_pass_their_own_checks() -> None:
    assert Options() == Options(n_seq=8, share_ratio=0.5, form="auto", is_on=False, path=None)


def test_an_integer_is_welcome_where_a_float_stands() -> None:
    assert Options(share_ratio=1).share_ratio == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("n_seq", 0, "'n_seq' must be 1 to 16: 0"),
        ("n_seq", 17, "'n_seq' must be 1 to 16: 17"),
        ("n_seq", 7, "n_seq is seven"),
        ("n_least", 0, "'n_least' must be at least 1: 0"),
        ("share_ratio", 1.5, "'share_ratio' must be at most 1: 1.5"),
        ("share_ratio", float("nan"), "'share_ratio' must be finite: nan"),
        ("share_ratio", float("-inf"), "'share_ratio' must be finite: -inf"),
        ("form", "xml", "'form' must be one of auto, json: 'xml'"),
        ("limit_bytes", -1, "'limit_bytes' must be at least 0: -1"),
    ],
)
def test_a_value_out_of_bounds_is_refused_when_the_options_are_built(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        attrs.evolve(Options(), **{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_seq", "8"),
        ("n_seq", True),
        ("n_seq", 8.0),
        ("n_seq", None),
        ("share_ratio", "0.5"),
        ("is_on", 1),
        ("form", 3),
        ("limit_bytes", "3"),
        ("limit_bytes", True),
        ("stops", ["a"]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        attrs.evolve(Options(), **{name: value})  # type: ignore[arg-type]


def test_what_is_known_about_options_is_listed_in_their_order() -> None:
    docs = option_docs(Options)
    assert [facts.name for facts in docs] == [attribute.name for attribute in attrs.fields(Options)]
    assert docs[0] == OptionDoc(name="n_seq", doc="Sequences.", at_least=1, at_most=16)
    assert docs[2].unit == "parts"


def test_bounds_are_told_in_words() -> None:
    assert [facts.bounds() for facts in option_docs(Options)[:5]] == [
        "1 to 16",
        "at least 1",
        "at most 1",
        "one of auto, json",
        "",
    ]


def test_a_field_without_words_is_a_bug_in_its_class() -> None:
    @frozen(kw_only=True)
    class Silent:
        n_seq: int = 8

    with pytest.raises(TypeError, match=r"Silent\.n_seq is not declared by option"):
        option_docs(Silent)
