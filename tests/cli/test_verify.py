"""``actorllama verify`` says which level holds, and why."""

from __future__ import annotations

import json

import pytest

from actorllama.cli import main


@pytest.mark.slow
def test_the_demo_model_is_verified_as_exact_with_evidence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTORLLAMA_CONTEXT_N_THREADS", "1")
    assert main(["verify", "--json", "--n-seq", "3", "--ctx", "640"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["level"] == "exact"
    assert len(report["checks"]) >= 6
    assert all(set(check) == {"name", "passed", "detail"} and check["passed"] for check in report["checks"])
    (at,) = report["cost"]["lengths"]
    assert 64 <= at["n_prompt"] <= 512
    assert at["prefill"]["ratio"] > 0
    assert at["decode"]["ratio"] > 0


@pytest.mark.slow
def test_fused_attention_is_told_to_be_faithful_only(capsys: pytest.CaptureFixture[str]) -> None:
    layout = ("--n-seq", "3", "--ctx", "640", "--threads", "1")
    assert main(["verify", "--flash-attention", "--no-cost", *layout]) == 0
    out = capsys.readouterr().out
    assert ": faithful" in out.splitlines()[0]
    assert "FAIL" in out
    assert "ratio" not in out


def test_a_file_that_is_no_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "/nonexistent.gguf"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "/nonexistent.gguf" in captured.err
