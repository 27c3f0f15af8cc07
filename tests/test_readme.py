"""What README.md shows, works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_program_in_the_readme_runs_and_prints_a_sum() -> None:
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "5" in done.stdout.splitlines()[0]
    assert "n_generated" in done.stdout


def test_every_command_in_the_readme_is_there_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    table = README.partition("## At the terminal")[2].partition("## Map")[0]
    named = re.findall(r"^actorllama ([a-z ]+?)(?: --| [A-Z\[]|  )", table, flags=re.MULTILINE)
    assert len(named) >= 9
    for command in named:
        assert main([*command.split(), "--help"]) == 0, command
        assert "Example" in capsys.readouterr().out, command


def test_every_sampling_parameter_in_the_readme_exists() -> None:
    from actorllama.runtime import SamplingOptions

    (line,) = re.findall(r"^\* Sampling, per turn: (.*?)\. The seed", README, flags=re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) <= set(SamplingOptions.__annotations__)
