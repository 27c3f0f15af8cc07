"""What cannot be measured is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama.bench.peers.options import PeersOptions, said
from actorllama.errors import RequestError


def options(**changes: object) -> PeersOptions:
    given: dict[str, object] = {
        "model": Path("model.gguf"),
        "label": "a",
        "n_ctx_train": 4096,
        "is_random": True,
        **changes,
    }
    return PeersOptions(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("rounds", {"n_rounds": 0}),
        ("side-by-side", {"side_by_side": (1, 0)}),
        ("crowd-rounds", {"n_crowd_rounds": 1}),
        ("restart-prompt", {"n_restart_prompt": 4096}),
        ("turns", {"n_conversation_turns": 100}),
        ("llama-server", {"llama_server": Path("/nowhere/llama-server")}),
        ("python", {"python": Path("/nowhere/python")}),
        ("library", {"library": Path("/nowhere")}),
    ],
)
def test_the_option_is_named(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(RequestError) as caught:
        options(**changes)
    assert caught.value.field == field


def test_a_load_that_is_not_asked_for_may_be_too_long() -> None:
    assert options(n_conversation_turns=100, loads=("turns",)).n_conversation_turns == 100


def test_a_slot_holds_what_is_said_in_it() -> None:
    given = options()
    assert given.restart_cells >= 3840 + 16 + 64
    assert given.restart_cells % 256 == 0
    assert given.n_banned == 128


def test_messages_are_text_of_as_many_bytes_as_tokens() -> None:
    assert said(6, "a") == said(8, "a")[:6]
    assert said(6, "a") != said(6, "b")
    assert len(bytes(said(6, "a")).decode()) == 3
    assert len(said(5, "a")) == 5
