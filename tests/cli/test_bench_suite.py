"""What all benches have in common: the same keys, scenarios, pictures."""

import json
import re
from pathlib import Path

import click
import pytest

from actorllama.bench.scenarios import SCENARIOS, Scenario
from actorllama.cli.bench import BENCHES, command
from actorllama.cli.bench_scenario import scenario_options
from tests.cli.shell import Invoke

ENVELOPE = {
    *("bench", "scenario", "options", "machine", "build", "model", "commit"),
    *("began_at", "wall_s", "cpu_s", "cpu_s_per_1000_tokens"),
}
QUICK: dict[str, tuple[str, ...]] = {
    "decode": ("-m", "demo", "--threads", "1", "-n", "2", "--tokens", "4", "--rounds", "1", "--no-cost"),
    "warm": (
        "-m",
        "demo",
        "--threads",
        "1",
        "--at",
        "64",
        "--rounds",
        "1",
        "--neighbours",
        "0",
        "--source",
        "live",
    ),
    "conversation": (
        "-m",
        "demo",
        "--threads",
        "1",
        "--conversations",
        "2",
        "--turns",
        "2",
        "--system",
        "32",
        "-n",
        "2",
    ),
    "codec": ("demo", "--tokens", "64", "--boundaries", "1", "--positions", "8"),
    "eviction": ("--requests", "40", "--fraction", "0.2", "--policy", "lru"),
    "actors": ("--messages", "5", "--spawned", "2", "--restarts", "2", "--alive", "5", "--rounds", "1"),
    "scaling": ("sequences", "-m", "demo", "--threads", "1", "--quick", "--rounds", "1"),
    "exactness": ("-m", "demo", "--threads", "1", "--at", "64", "--tokens", "4", "--rounds", "1"),
    "peers": (
        *("-m", "demo", "--threads", "1", "--contestant", "actorllama-embedded", "--load", "memory"),
        *("--memory", "1", "--memory-prompt", "16", "--reply", "4", "--opening", "16", "--system", "16"),
        *(
            "--restart-prompt",
            "16",
            "--turn-prompt",
            "16",
            "--turn-reply",
            "4",
            "--rounds",
            "1",
            "--turns",
            "1",
        ),
    ),
}
NEEDS_NO_MODEL = {"eviction", "actors"}
MAKES_TOKENS = {"decode", "conversation", "scaling"}


def test_every_bench_is_asked() -> None:
    assert set(QUICK) == set(BENCHES)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("name", QUICK)
def test_every_answer_says_on_what_it_was_measured(
    name: str, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def draw(chart: object, path: Path) -> None:
        drawn.append(f"{type(chart).__name__} {path.name}")

    monkeypatch.setattr("actorllama.bench.plot.draw", draw)
    monkeypatch.setattr("actorllama.bench.plot.check_plot", str)  # whatever it is, it is taken
    done = invoke("bench", name, *QUICK[name], "--json", "--plot", str(tmp_path / "a.png"))
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert ENVELOPE - set(answer) == set()
    assert (answer["bench"], answer["scenario"]) == (name, None)
    assert answer["commit"] is None or answer["commit"]  # git may be absent, or slow on a busy machine
    assert {"cpu", "n_cores", "memory_bytes", "python", "load_average", "trio"} <= set(answer["machine"])
    assert answer["options"]
    assert (answer["model"] is None) == (answer["build"] is None) == (name in NEEDS_NO_MODEL)
    if name not in NEEDS_NO_MODEL:
        assert (answer["model"]["label"], len(answer["model"]["fingerprint"])) == ("demo", 40)
        assert {"library", "version", "system_info"} <= set(answer["build"])
    assert (answer["cpu_s_per_1000_tokens"] is not None) == (name in MAKES_TOKENS)
    assert drawn == ["Chart a.png"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_is_one_that_its_bench_understands(scenario: Scenario) -> None:
    group = click.Context(command, info_name="bench")
    bench = command.get_command(group, scenario.bench)
    assert bench is not None
    context = click.Context(bench, info_name=scenario.bench, parent=group)
    assert len(scenario_options(context, scenario)) == len(scenario.options)


def scenario_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_scenario_sets_options_and_the_command_line_wins(invoke: Invoke, tmp_path: Path) -> None:
    text = 'bench = "eviction"\n[options]\nrequests = 40\nfraction = [0.2, 0.4]\npolicy = ["lru"]\n'
    path = scenario_file(tmp_path, text)
    answer = json.loads(invoke("bench", "eviction", "--scenario", path, "--json").out)
    assert answer["scenario"] == path
    assert answer["trace"]["n_requests"] == 40
    assert answer["options"]["fractions"] == [0.2, 0.4]
    again = json.loads(invoke("bench", "eviction", "--requests", "30", "--scenario", path, "--json").out)
    assert (again["trace"]["n_requests"], again["options"]["policies"]) == (30, ["lru"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('bench = "eviction"\n[options]\nrequest = 40\n', "request = 40 (from {path})"),
        ('bench = "eviction"\n[options]\njson = true\n', "json = True (from {path})"),
        ('bench = "eviction"\n[options]\nrequests = 4.5\n', "requests = 4.5 (from {path})"),
        ('bench = "eviction"\n[options]\nrequests = true\n', "requests = True (from {path})"),
        ('bench = "decode"\n', "actorllama bench decode --scenario {path}"),
    ],
)
def test_a_scenario_that_does_not_fit_is_told_with_key_and_file(
    text: str, says: str, invoke: Invoke, tmp_path: Path
) -> None:
    path = scenario_file(tmp_path, text)
    done = invoke("bench", "eviction", "--scenario", path)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert says.format(path=path) in done.err


def test_a_picture_that_cannot_be_drawn_is_told_before_anything_is_measured(invoke: Invoke) -> None:
    done = invoke("bench", "eviction", "--plot", "a.txt")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [("weights",), ("actors", "--rounds", "0"), ("actors", "--tolerance", "-1"), ("--tolerance", "nan")],
)
def test_what_cannot_grow_is_refused(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    done = invoke("bench", "scaling", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_the_help_of_all_benches_says_how_long_each_takes(invoke: Invoke) -> None:
    shown = invoke("bench", "--help").out
    for name in BENCHES:
        assert re.search(rf"^  {name} +\d+ (s|min) ", shown, re.MULTILINE)
        assert "Takes " in invoke("bench", name, "--help").out
