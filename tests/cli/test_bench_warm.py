import json
from pathlib import Path

import pytest

from tests.cli.shell import Invoke

pytestmark = [pytest.mark.slow, pytest.mark.model]

SHORT = ("--threads", "1", "--at", "64", "--rounds", "1", "--neighbours", "0", "--source", "live")
TALK = ("--threads", "1", "--conversations", "2", "--turns", "2", "--system", "32", "--reply", "4", "-n", "2")


def test_warm_answers_with_one_object_or_a_table(invoke: Invoke, demo: Path) -> None:
    done = invoke("bench", "warm", "--model", str(demo), *SHORT, "--json")
    answer = json.loads(done.out)
    assert (done.code, done.out.count("\n")) == (0, 1)
    (case,) = answer["cases"]
    assert (case["source"], case["n_tokens"], case["n_cached"] >= 64) == ("live", 64, True)
    assert answer["neighbours_p99"] is None
    shown = invoke("bench", "warm", "--model", str(demo), *SHORT)
    assert "FIRST TOKEN" in shown.out
    assert "64 tokens, live, 0 neighbours" in shown.err


def test_conversation_answers_with_one_object_or_lines(invoke: Invoke, demo: Path) -> None:
    done = invoke("bench", "conversation", "--model", str(demo), *TALK, "--json")
    answer = json.loads(done.out)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert answer["n_total_tokens"] == 32 + 2 * 2 * 36
    assert answer["bytes_written"] > 0
    assert "written" in invoke("bench", "conversation", "--model", str(demo), *TALK).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("warm", "--at", "1"),
        ("warm", "--source", "none"),
        ("warm", "--rounds", "0"),
        ("conversation", "--turns", "100000"),
        ("conversation", "--shape", "15m"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_line(
    invoke: Invoke, demo: Path, arguments: tuple[str, ...]
) -> None:
    name, *rest = arguments
    done = invoke("bench", name, "--model", str(demo), *rest)
    assert (done.code, done.out) == (2, "")
