import json
from pathlib import Path

import pytest

from tests.cli.shell import Invoke


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--llama-server", "/nowhere/llama-server"), "llama-server"),
        (("--python", "/nowhere/python"), "python"),
        (("--library", "/nowhere"), "library"),
        (("--crowd-rounds", "1"), "crowd-rounds"),
        (("--side-by-side", "0"), "side-by-side"),
        (("--load", "restart"), "restart-prompt"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_line(given: tuple[str, ...], says: str, invoke: Invoke) -> None:
    done = invoke("bench", "peers", "-m", "demo", *given)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{says} = " in done.err


def test_without_any_peer_the_command_says_how_to_get_them(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = ("bench", "peers", "-m", "demo", "--load", "turns", "--side-by-side", "1", "--turn-prompt", "8")
    sizes = ("--turn-reply", "4", "--rounds", "1", "--contestant", "llama-server", "--json")
    done = invoke(*line, *sizes)
    answer = json.loads(done.out)
    assert done.code == 0
    assert [peer["name"] for peer in answer["not_found"]] == ["llama-server"]
    assert "docs/peers.md" in answer["not_found"][0]["reason"]
    assert answer["bars"] == []
