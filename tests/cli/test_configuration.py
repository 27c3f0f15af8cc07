import json
from pathlib import Path

import pytest

from actorllama.config import render_default_toml
from tests.cli.shell import Invoke


def test_each_option_is_told_with_its_source(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[context]\nn_seq = 4\nctx_per_seq = 512\n")
    monkeypatch.setenv("ACTORLLAMA_CONTEXT_N_SEQ", "6")
    answer = json.loads(invoke("--config", str(path), "--log-level", "error", "config", "--json").out)

    assert answer["file"] == str(path)
    assert answer["options"]["context"]["n_seq"] == 6
    assert answer["options"]["context"]["ctx_per_seq"] == 512
    assert answer["options"]["telemetry"]["log_level"] == "error"
    assert answer["sources"]["context.n_seq"] == "environment variable ACTORLLAMA_CONTEXT_N_SEQ"
    assert answer["sources"]["context.ctx_per_seq"] == str(path)
    assert answer["sources"]["telemetry.log_level"] == "arguments"


def test_people_get_a_table(invoke: Invoke) -> None:
    lines = invoke("config").out.splitlines()
    assert lines[0].split() == ["OPTION", "VALUE", "SET", "BY"]
    assert ["context.layout", "isolated", "default"] in [line.split() for line in lines]


def test_a_command_logs_less_than_the_library_unless_told(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def level() -> str:
        answer = json.loads(invoke("config", "--json").out)
        return str(answer["options"]["telemetry"]["log_level"])

    assert level() == "warning"
    monkeypatch.setenv("ACTORLLAMA_TELEMETRY_LOG_LEVEL", "info")
    assert level() == "info"


def test_the_defaults_can_be_written_down_and_read_again(invoke: Invoke, tmp_path: Path) -> None:
    written = invoke("config", "--default").out
    assert written == render_default_toml()
    path = tmp_path / "default.toml"
    path.write_text(written)
    assert invoke("--config", str(path), "config").code == 0
