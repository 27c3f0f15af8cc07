"""Whatever happens becomes one line and an exit code."""

import subprocess
import sys

import click
import pytest

import actorllama
from actorllama.cli import root as root_module
from actorllama.cli.failures import describe, exit_code_of, leaf_of, one_line
from actorllama.errors import Busy, ContextFull, RequestError
from tests.cli.shell import TIMEOUT_S, Invoke, Spawn

REFUSED = RequestError(field="seed", value=-1, reason="must be at least 0")
BUSY = Busy(model="chat", n_queued=9, capacity=9)


def test_no_arguments_teach(invoke: Invoke) -> None:
    done = invoke()
    assert (done.code, done.err) == (0, "")
    assert done.out == invoke("--help").out
    assert done.out.startswith("Usage: actorllama")


def test_the_version_is_the_package_s(invoke: Invoke) -> None:
    assert invoke("--version").out == f"actorllama {actorllama.__version__}\n"


@pytest.mark.parametrize("name", root_module.COMMANDS)
def test_every_command_has_a_help_with_examples(invoke: Invoke, name: str) -> None:
    done = invoke(name, "-h")
    assert done.code == 0
    assert f"Usage: actorllama {name}" in done.out
    is_group = name == "bench"
    assert is_group or "Examples:\n  " in done.out


def fails_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command end so, whatever it is asked."""

    @click.command("info")
    def broken() -> None:
        raise error

    def find(_group: object, _context: object, _name: str) -> click.Command:
        return broken

    monkeypatch.setattr(root_module.LateGroup, "get_command", find)


def test_an_error_of_our_own_is_one_line_and_no_traceback(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(ZeroDivisionError("by\nzero"), monkeypatch)
    done = invoke("info")
    assert done.code == 1
    assert done.err == (
        "actorllama: internal error: ZeroDivisionError: by zero (--log-level debug shows where)\n"
    )


def test_debugging_shows_the_traceback_before_the_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(ZeroDivisionError("by zero"), monkeypatch)
    lines = invoke("--log-level", "debug", "info").err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("actorllama: internal error: ZeroDivisionError")


def test_an_error_out_of_a_nursery_is_told_as_itself(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("more", [REFUSED])]), monkeypatch)
    done = invoke("info")
    assert (done.code, done.err) == (2, f"actorllama: {REFUSED}\n")


def test_ctrl_c_before_there_is_anything_to_stop_is_quiet(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_group: object, _context: object, _name: str) -> click.Command:
        raise KeyboardInterrupt

    monkeypatch.setattr(root_module.LateGroup, "get_command", interrupted)
    done = invoke("info")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_who_is_to_blame_decides_the_code() -> None:
    assert exit_code_of(REFUSED) == 2
    assert exit_code_of(ContextFull(n_tokens=9, n_ctx=8)) == 2
    assert exit_code_of(BUSY) == 1
    assert exit_code_of(ValueError()) == 1


def test_of_several_errors_the_one_that_can_be_mended_is_told() -> None:
    assert leaf_of(ExceptionGroup("", [BUSY, REFUSED])) is REFUSED
    assert leaf_of(ExceptionGroup("", [BUSY, ValueError()])) is BUSY
    assert leaf_of(REFUSED) is REFUSED


def test_a_line_is_one_line_without_control_characters() -> None:
    assert one_line("a\n  b\tc\x1b[31m") == "a b c\ufffd[31m"
    assert len(one_line("x" * 9999)) < 2010
    assert one_line("x" * 9999 + " because").endswith(" because")


def test_an_error_of_the_system_names_its_file() -> None:
    assert describe(FileNotFoundError(2, "No such file", "a.txt")) == "a.txt: No such file"
    assert describe(OSError(28, "No space")) == "No space"


@pytest.mark.slow
def test_the_help_does_not_load_llama_cpp() -> None:
    code = "import sys; from actorllama.cli import main; main(['--help']); print('llama_cpp' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
def test_an_answer_that_nobody_reads_ends_quietly(spawn: Spawn) -> None:
    pipe = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m actorllama info --json | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert pipe.returncode in (0, 141)  # it may have written before the reader was gone
    assert pipe.stderr == b""
