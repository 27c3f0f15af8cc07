"""A scenario by its name and the file in config/bench say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from actorllama.bench.scenarios import SCENARIOS, Scenario, find_scenario, render_scenario
from actorllama.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_files_are_what_the_package_has() -> None:
    """`python -m actorllama.bench.scenarios` writes them."""
    written = {path.stem: path.read_text() for path in (ROOT / "config" / "bench").glob("*.toml")}
    assert written == {scenario.name: render_scenario(scenario) for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_file_is_read_as_the_scenario_that_it_was_written_from(scenario: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(render_scenario(scenario))
    assert find_scenario(str(path)) == evolve(scenario, name=str(path), about="")
    assert find_scenario(scenario.name) is scenario


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('bench = "decode"\nmodel = "x"\n', "model"),
        ("[options]\nn = 8\n", "bench"),
        ('bench = "decode"\noptions = 3\n', "options"),
        ('bench = "decode"\n[options]\nn = {a = 1}\n', "n"),
        ('bench = "decode"\n[options]\nat = [[1]]\n', "at"),
        ("bench = \n", "scenario"),
        ("\0", "scenario"),
    ],
)
def test_what_is_no_scenario_is_refused_with_key_and_file(text: str, field: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_scenario(str(path))
    assert (caught.value.field, caught.value.source) == (field, str(path))


def test_a_name_that_nobody_gave_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="decode-15m"):
        find_scenario("decode-16m")
    with pytest.raises(ConfigError, match="No such file"):
        find_scenario(str(tmp_path / "none.toml"))
