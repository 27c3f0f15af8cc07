import json
from pathlib import Path

import pytest

from tests.cli.shell import Invoke

pytestmark = [pytest.mark.slow, pytest.mark.model]

SHORT = ("--tokens", "64", "--boundaries", "1", "--positions", "8")


def test_codec_answers_with_one_object_of_json(invoke: Invoke, demo: Path) -> None:
    done = invoke("bench", "codec", str(demo), *SHORT, "--json")
    assert done.code == 0
    answer = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert [row["name"] for row in answer["codecs"]] == ["none", "lz4", "zstd", "q8"]
    assert answer["model"]["label"] == demo.name


def test_codec_tells_people_a_table_and_how_to_read_it(invoke: Invoke) -> None:
    done = invoke("bench", "codec", *SHORT)
    assert done.code == 0
    assert "TOP-1" in done.out
    assert "Noise floor: every lossless codec continues bit for bit" in done.out
    assert "proves nothing about quality" in done.out
    assert "codec zstd" in done.err


def test_codec_refuses_what_cannot_be_measured(invoke: Invoke) -> None:
    done = invoke("bench", "codec", "--tokens", "3")
    assert done.code == 2
    assert "tokens" in done.err
