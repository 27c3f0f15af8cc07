"""The examples in the help texts work as they stand there."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from actorllama.cli.examples import examples, examples_in
from actorllama.cli.root import root
from tests.cli.saved_turns import made_up_turn, put
from tests.cli.shell import TIMEOUT_S, Invoke

TOO_LONG = (
    "bench decode --shape",
    "bench decode --scenario",
    "bench decode\n",
    "bench exactness --shape",
    "bench exactness\n",
    "bench actors\n",
    "bench actors --json",
    "bench peers",  # they name programs that are not here, or take minutes
    "bench scaling --plot",
    "bench scaling sequences",
    "bench warm --shape",
    "bench warm\n",
    "bench conversation --shape",
    "bench conversation\n",
    "top --state-dir",  # these need a runtime that runs: tests/cli/test_top.py has one
    "top --attach",
)


def all_examples(group: click.Group = root) -> Iterator[str]:
    yield from examples_in(group.epilog or "")
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_examples(command)
        else:
            yield from examples_in(command.epilog or "")


QUICK = [line for line in all_examples() if not any(long in f"{line}\n" for long in TOO_LONG)]


def test_examples_are_found_again_in_their_help() -> None:
    assert examples_in(examples("actorllama info", "actorllama chat")) == (
        "actorllama info",
        "actorllama chat",
    )


def test_every_command_has_two_or_three_examples_at_least() -> None:
    assert len(list(all_examples())) >= 2 * 9


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("line", QUICK)
def test_an_example_works(line: str, tmp_path: Path, demo: Path, invoke: Invoke) -> None:
    """In a shell, in a folder where ``model.gguf``, ``actorllama.toml``, saved turns and an archive are."""
    put(tmp_path / "state", made_up_turn(1, 2, 3, 4, 5, 6))
    export = ("cache", "export", "--state-dir", str(tmp_path / "state"), "--all")
    assert invoke(*export, "-o", str(tmp_path / "turns.tar")).code == 0
    (tmp_path / "model.gguf").symlink_to(demo)
    (tmp_path / "actorllama.toml").write_text("[context]\nn_seq = 4\n")
    shell = f'actorllama() {{ "{sys.executable}" -m actorllama "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell],
        cwd=tmp_path,
        input="Hello\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or ">" in line
    assert "\x1b" not in done.stdout + done.stderr
