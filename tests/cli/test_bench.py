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


def test_exactness_tells_what_it_costs_for_prompts_and_decoding(invoke: Invoke, demo: Path) -> None:
    short = ("--threads", "1", "--at", "64", "--tokens", "4", "--rounds", "1")
    done = invoke("bench", "exactness", "--model", str(demo), *short, "--json")
    answer = json.loads(done.out)
    assert done.code == 0
    assert done.out.count("\n") == 1
    (at,) = answer["lengths"]
    assert at["n_prompt"] == 64
    assert at["prefill"]["ratio"] > 0
    assert at["decode"]["ratio"] > 0
    shown = invoke("bench", "exactness", "--model", str(demo), *short)
    assert shown.out.count("ratio") == 3


def test_exactness_refuses_lengths_and_counts_that_cannot_be(invoke: Invoke, demo: Path) -> None:
    for given in (("--at", "3"), ("-n", "0"), ("--rounds", "0"), ("--shape", "15m")):
        done = invoke("bench", "exactness", "--model", str(demo), *given)
        assert done.code == 2
        assert done.out == ""
        assert done.err.count("\n") == 1
