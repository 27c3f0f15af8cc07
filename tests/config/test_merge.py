from pathlib import Path

import pytest
from attrs import field, frozen

from actorllama.config.merge import merge
from actorllama.config.setting import Setting
from actorllama.errors import ConfigError
from actorllama.options import option


@frozen(kw_only=True)
class Engine:
    """How turns run."""

    n_seq: int = option(8, doc="Sequences.", at_least=1, at_most=256)
    n_batch: int = option(64, doc="Tokens of a step.")
    share_ratio: float = option(0.5, doc="Share.", at_least=0, at_most=1)
    model_path: Path | None = option(None, doc="A model.")
    stops: tuple[str, ...] = option((), doc="Stop strings.")

    def __attrs_post_init__(self) -> None:
        if self.n_batch < self.n_seq:
            raise ValueError(f"n_batch = {self.n_batch} is below n_seq = {self.n_seq}")


@frozen(kw_only=True)
class Plain:
    """No validators at all."""

    depth: int = field(default=1)


SECTIONS = {"engine": Engine, "plain": Plain}


def text(name: str, value: str, source: str = "here") -> Setting:
    section, _, option_name = name.partition(".")
    return Setting(section=section, field=option_name, value=value, source=source, is_text=True)


def test_texts_become_the_types_of_the_options() -> None:
    merged = merge(
        SECTIONS,
        [
            text("engine.n_seq", "4"),
            text("engine.share_ratio", "1"),
            text("engine.model_path", "/m.gguf"),
            text("engine.stops", "a, b"),
            text("plain.depth", "3"),
        ],
    )

    assert merged == {
        "engine": Engine(n_seq=4, share_ratio=1.0, model_path=Path("/m.gguf"), stops=("a", "b")),
        "plain": Plain(depth=3),
    }


def test_a_value_out_of_bounds_is_refused_with_the_bounds() -> None:
    with pytest.raises(ConfigError, match=r"engine\.n_seq = '0' \(from there\).*must be 1 to 256"):
        merge(SECTIONS, [text("engine.n_seq", "0", "there")])


def test_values_that_do_not_go_together_name_the_section_and_their_sources() -> None:
    with pytest.raises(ConfigError) as caught:
        merge(SECTIONS, [text("engine.n_seq", "8", "first"), text("engine.n_batch", "4", "second")])

    assert (caught.value.field, caught.value.source) == ("engine", "first, second")
    assert caught.value.value == {"n_seq": 8, "n_batch": 4}
    assert "n_batch = 4 is below n_seq = 8" in str(caught.value)


def test_the_last_setting_of_a_field_wins_and_the_others_stay() -> None:
    merged = merge(
        SECTIONS, [text("engine.n_seq", "4"), text("engine.n_batch", "32"), text("engine.n_seq", "2")]
    )
    assert merged["engine"] == Engine(n_seq=2, n_batch=32)
