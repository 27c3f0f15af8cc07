"""All loads, with a peer that is a small script: what is asked, counted, compared and told."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import which

import pytest

from actorllama import demo
from actorllama.bench.peers import PeersOptions, PeersReport, run_peers_bench

pytestmark = pytest.mark.slow


def options(**changes: object) -> PeersOptions:
    given: dict[str, object] = {
        "model": demo.model_path(),
        "label": "demo",
        "n_ctx_train": 512,
        "is_random": False,
        "contestants": ("llama-server",),
        "n_rounds": 2,
        "side_by_side": (1, 2),
        "n_turn_prompt": 16,
        "n_turn_reply": 4,
        "n_user": 4,
        "n_conversations": 2,
        "n_conversation_turns": 2,
        "n_system": 16,
        "n_reply": 4,
        "n_crowd": 3,
        "n_crowd_slots": 2,
        "n_crowd_opening": 16,
        "n_crowd_rounds": 2,
        "n_restarted": 2,
        "n_restart_prompt": 32,
        "n_memory": 2,
        "n_memory_prompt": 16,
        "n_checked": 2,
        "rest_s": 0.0,
        **changes,
    }
    return PeersOptions(**given)  # type: ignore[arg-type]


async def report_of(**changes: object) -> PeersReport:
    return await run_peers_bench(options(**changes))


def cases(report: PeersReport) -> list[str]:
    return [f"{part.load}: {part.case}" for part in report.parts]


async def test_every_load_is_counted_and_told(fake_server: Path) -> None:
    report = await report_of(llama_server=fake_server)
    answer = json.loads(json.dumps(report.to_json()))
    assert cases(report) == [
        "turns: 1 side by side",
        "turns: 2 side by side",
        "conversations: 2 of 2 turns, system prompt of 16 tokens",
        "crowd: 3 conversations, 2 slots, RAM cache of 1024 MB",
        "crowd: 3 conversations, 2 slots, RAM cache of 24 MB",
        "restart: 2 conversations of 32 tokens, then 16 more",
        "memory: 2 of 16 tokens in slots of 512, no cache",
    ]
    (one,), (two,), (talks,), (crowd,), _, (restart,), _ = (load["sides"] for load in answer["loads"])
    assert (one["n_turns"], two["n_turns"]) == (2, 4)
    assert (one["n_tokens"], one["n_prompt"]) == (2 * 4, 16 + 24)
    assert one["n_computed"] == 16 + 4  # the first prompt, then what is new
    assert talks["n_turns"] == 4
    assert crowd["n_turns"] == 3  # the round in which they began does not count
    assert crowd["continuation"] == restart["continuation"] == {"n_checked": 2, "n_equal": 2}
    assert restart["n_computed"] == 2 * 16  # what was saved came back
    assert restart["disk_bytes"] > 0
    assert restart["cold_first_token_s"]["p50"] > 0
    assert one["memory"]["own_bytes"] > 0
    assert one["tokens_per_s"] > 0
    assert not report.has_failures
    assert any("crowd: 3 conversations" in line for line in report.lines())
    assert {panel.title for panel in report.chart().panels} == {
        "speed, middle half of the rounds",
        "first token, median",
    }


async def test_who_is_not_there_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    report = await report_of(contestants=("llama-server", "llama-cpp-python-server"), loads=("turns",))
    assert [name for name, _ in report.roster.missing] == ["llama-server", "llama-cpp-python-server"]
    assert "docs/peers.md" in report.roster.missing[0][1]
    assert not report.has_failures
    assert report.to_json()["bars"] == []
    assert any("not found" in line for line in report.lines())


@pytest.mark.parametrize(("fails", "says"), [("health", "too large"), ("completion", "out of order")])
async def test_a_peer_that_fails_is_told_with_its_words(
    fails: str, says: str, fake_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAILS", fails)
    report = await report_of(llama_server=fake_server, loads=("turns", "restart"), side_by_side=(1,))
    errors = [side.error or "" for part in report.parts for side in part.sides]
    assert report.has_failures
    assert [says in error for error in errors] == [True, True]


async def test_a_continuation_that_differs_is_counted(
    fake_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAILS", "tokens")
    report = await report_of(llama_server=fake_server, loads=("restart",))
    (side,) = report.parts[0].sides
    assert (side.n_equal, side.n_checked) == (0, 2)


@pytest.mark.model
async def test_actorllama_takes_part_behind_a_service_and_embedded() -> None:
    report = await report_of(contestants=("actorllama", "actorllama-embedded"), loads=("memory",))
    (part,) = report.parts
    assert [side.error for side in part.sides] == [None, None]
    assert [[taken.n_computed for taken in side.rounds[0][0]] for side in part.sides] == [[16, 16]] * 2
    first, second = ([taken.reply for taken in side.rounds[0][0]] for side in part.sides)
    assert first == second
    assert len(report.digests) == 1


@pytest.mark.model
@pytest.mark.skipif(which("llama-server") is None, reason="there is no llama-server on PATH")
async def test_the_real_server_goes_on_as_if_it_had_never_stopped() -> None:
    report = await report_of(loads=("restart",), n_restart_prompt=96)
    (side,) = report.parts[0].sides
    assert side.error is None
    assert (side.n_equal, side.n_checked) == (2, 2)
