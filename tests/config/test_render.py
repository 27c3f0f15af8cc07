import runpy
import tomllib
from pathlib import Path

import pytest
from attrs import frozen

from actorllama.config import Config, load_config, render_default_toml
from actorllama.config.config import SECTIONS
from actorllama.options import option, option_docs

ROOT = Path(__file__).parents[2]


@frozen(kw_only=True)
class Shop:
    """What a shop sells.

    More words.
    """

    n_apples: int = option(3, doc="Apples on the table.", unit="apples", at_least=0)
    price_ratio: float = option(0.5, doc="Share of the price.", at_least=0, at_most=1)
    name: str = option('a "b"', doc="Name.")
    is_open: bool = option(True, doc="Open.")
    cellar: Path = option(Path("/cellar"), doc="Where the rest is.")
    stops: tuple[str, ...] = option(("a", "b"), doc="Stops.")
    owner: str | None = option(None, doc="Owner.")


def test_the_file_of_defaults_is_what_the_classes_say() -> None:
    assert (ROOT / "config" / "default.toml").read_text() == render_default_toml()


def test_loading_the_file_of_defaults_gives_the_defaults() -> None:
    assert load_config(toml_path=ROOT / "config" / "default.toml", env={}) == Config()


def test_every_option_of_every_section_has_words() -> None:
    for options_class in SECTIONS.values():
        assert all(facts.doc.endswith(".") for facts in option_docs(options_class))


def test_the_module_prints_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("actorllama.config", run_name="__main__")
    assert capsys.readouterr().out == render_default_toml()


def test_an_option_is_rendered_with_meaning_bounds_unit_and_default() -> None:
    text = render_default_toml({"shop": Shop})

    assert "[shop]  # What a shop sells.\n" in text
    assert "# Apples on the table (at least 0; apples).\nn_apples = 3\n" in text
    assert "# Share of the price (0 to 1).\nprice_ratio = 0.5\n" in text
    assert "# Owner (text).\n# owner =\n" in text
    assert tomllib.loads(text) == {
        "shop": {
            "n_apples": 3,
            "price_ratio": 0.5,
            "name": 'a "b"',
            "is_open": True,
            "cellar": "/cellar",
            "stops": ["a", "b"],
        }
    }


def test_a_default_without_a_form_in_toml_is_a_bug_in_its_class() -> None:
    @frozen(kw_only=True)
    class Odd:
        """Odd."""

        thing: object = option(object(), doc="A thing.")

    with pytest.raises(TypeError, match="TOML has no form"):
        render_default_toml({"odd": Odd})
