import json
from pathlib import Path

import pytest

from tests.cli.shell import Invoke

SHORT = ("--requests", "40", "--fraction", "0.2", "--policy", "lru")


def test_eviction_answers_with_one_object_or_a_table(invoke: Invoke) -> None:
    done = invoke("bench", "eviction", *SHORT, "--json")
    answer = json.loads(done.out)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert list(answer["budgets"][0]["policies"]) == ["lru"]
    assert "upper bound" in invoke("bench", "eviction", *SHORT).out


def test_eviction_reads_a_trace(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"input_length": 600, "hash_ids": ["a", "b"]}\n' * 2)
    answer = json.loads(
        invoke("bench", "eviction", "--trace", str(path), "--bytes", "1000000000", "--json").out
    )
    assert answer["trace"]["n_tokens"] == 1200
    assert len(answer["budgets"]) == 1
    assert answer["budgets"][0]["policies"]["lru"]["token_hit_rate"] == 0.5


def test_a_bad_line_is_told_by_its_number_and_field(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"input_length": 0}\n')
    done = invoke("bench", "eviction", "--trace", str(path))
    assert done.code == 2
    assert "line 1: input_length" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trace", "a", "--synthetic", "loop"),
        ("--synthetic", "none"),
        ("--policy", "none"),
        ("--token-us", "nan"),
    ],
)
def test_what_cannot_be_replayed_is_refused(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    assert invoke("bench", "eviction", *arguments).code == 2
