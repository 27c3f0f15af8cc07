import json
from pathlib import Path

import pytest

from tests.cli.shell import Invoke

pytestmark = [pytest.mark.slow, pytest.mark.model]

SHORT = ("--threads", "1", "-n", "2", "--tokens", "4", "--rounds", "1")


def test_decode_tells_both_sides_and_their_ratio(invoke: Invoke, demo: Path) -> None:
    done = invoke("bench", "decode", "--model", str(demo), *SHORT, "--json")
    answer = json.loads(done.out)
    assert done.code == 0
    assert done.out.count("\n") == 1
    assert answer["ratio"] > 0
    assert answer["runtime_tokens_per_s"] > 0
    assert answer["bare_tokens_per_s"] > 0


def test_decode_tells_people_the_spread(invoke: Invoke, demo: Path) -> None:
    done = invoke("bench", "decode", "--model", str(demo), *SHORT)
    assert "ratio" in done.out
    assert "round 1/1" in done.err
