"""A text told by several processes, each killed without warning, is the text of one that never stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama import demo, open_runtime
from tests.model.restarting import begin

pytestmark = [pytest.mark.model, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
N_TOKENS = 40
TIMEOUT_S = 120.0


def live_and_be_killed(state_dir: Path, n_tokens: int, key: str | None) -> dict[str, object]:
    """Run one process until it has said what it kept, and kill it in the middle of its next turn."""
    command = [sys.executable, "-m", "tests.model.restarting", str(state_dir), str(n_tokens)]
    command += [] if key is None else [key]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            process.kill()
        assert process.wait(TIMEOUT_S) == -9, "it was to live until it was killed"
    said: dict[str, object] = json.loads(line)
    return said


@pytest.mark.parametrize("cuts", [(1, 39), (13, 20, 7), (39, 1)], ids=str)
async def test_each_process_goes_on_where_the_killed_one_stood(cuts: tuple[int, ...], tmp_path: Path) -> None:
    tokens: list[object] = []
    logprobs: list[object] = []
    text, key = "", None
    for n_tokens in cuts:
        part = live_and_be_killed(tmp_path, n_tokens, key)
        assert isinstance(part["tokens"], list)
        assert isinstance(part["logprobs"], list)
        tokens += part["tokens"]
        logprobs += part["logprobs"]
        text += str(part["text"])
        key = str(part["key"])
    async with open_runtime() as rt:
        model = await rt.load("demo", demo.model_path(), n_seq=3, ctx_per_seq=256, n_threads=1)
        whole = await begin(model, N_TOKENS)

    assert tokens == list(whole.tokens)
    assert text == whole.text
    assert logprobs == [item.logprob for item in whole.logprobs or ()]
