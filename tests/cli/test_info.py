import json
from pathlib import Path

import pytest

from actorllama.cli.model_summary import summarise
from tests.cli.shell import Invoke


def test_a_summary_tells_what_the_header_says(demo: Path) -> None:
    summary = summarise(demo)

    assert (summary.architecture, summary.n_layer, summary.n_head, summary.n_head_kv) == ("llama", 4, 4, 2)
    assert summary.n_ctx_train >= 2048
    assert summary.file_bytes == demo.stat().st_size
    assert sum(share.n_bytes for share in summary.quantisation) == summary.weights_bytes < summary.file_bytes
    assert sum(share.n_tensors for share in summary.quantisation) == summary.n_tensors
    assert summary.main_quantisation == summary.quantisation[0].type
    assert summary.chat_template is not None


def test_kv_bytes_are_those_of_all_layers(demo: Path) -> None:
    summary = summarise(demo)
    assert summary.n_head_kv is not None
    assert summary.n_head is not None
    head_width = summary.n_embd // summary.n_head
    keys_and_values = 2 * summary.n_head_kv * head_width
    assert summary.kv_bytes_per_token == summary.n_layer * keys_and_values * 2  # f16


def test_info_is_of_the_embedded_model_unless_told(invoke: Invoke, demo: Path) -> None:
    done = invoke("info")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"path           {demo}\n")
    assert invoke("info", "demo").out == done.out == invoke("info", str(demo)).out


def test_info_as_json_is_one_object(invoke: Invoke, demo: Path) -> None:
    done = invoke("info", "--json", str(demo))
    answer = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert (answer["path"], answer["architecture"]) == (str(demo), "llama")
    assert answer["kv_bytes_per_token"] > 0


def test_models_lists_the_embedded_one_those_here_and_those_below(
    invoke: Invoke, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, deep = tmp_path / "here", tmp_path / "there" / "deep"
    here.mkdir()
    deep.mkdir(parents=True)
    content = demo.read_bytes()
    (here / "a.gguf").write_bytes(content)
    (deep / "b.GGUF").write_bytes(content)
    (deep / "broken.gguf").write_bytes(content[:100])
    (deep / "big-00002-of-00003.gguf").write_bytes(content)
    (deep / "c.txt").write_bytes(content)
    monkeypatch.chdir(here)

    done = invoke("models", str(tmp_path / "there"), "--json")
    found = json.loads(done.out)["models"]

    assert [(Path(one["path"]).name, one["is_usable"]) for one in found] == [
        (demo.name, True),
        ("a.gguf", True),
        ("b.GGUF", True),
        ("broken.gguf", False),
    ]
    assert "short" in found[-1]["reason"] or "ends" in found[-1]["reason"]


def test_models_tells_people_of_files_that_are_no_models(
    invoke: Invoke, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.gguf").write_text("Once upon a time")
    monkeypatch.chdir(tmp_path)
    done = invoke("models")
    assert done.code == 0
    assert str(demo) in done.out
    assert done.err == "text.gguf: it is not a GGUF file\n"


def test_a_model_found_twice_is_listed_once(invoke: Invoke, demo: Path) -> None:
    done = invoke("models", str(demo.parent), str(demo.parent), "--json")
    assert len(json.loads(done.out)["models"]) == 1
