"""What a turn that waits takes note of."""

from __future__ import annotations

from typing import cast

import pytest

from actorllama.actors import Caller
from actorllama.engine import TakeTurn, TurnRequest
from actorllama.engine.commands import PrefixSource, RestoredState
from actorllama.engine.prefix import Prefix
from actorllama.engine.taken_turn import Phase, TakenTurn
from actorllama.ids import TurnId
from actorllama.native import SamplingParams


def prefix_of(*tokens: int, namespace: str = "ab") -> Prefix:
    return Prefix.of(namespace, tokens, block_tokens=4)


def a_turn(*tokens: int, phase: Phase = "looking", n_looks: int = 1) -> TakenTurn:
    request = TurnRequest(prompt=tokens, sampling=SamplingParams(), max_tokens=1)
    message = TakeTurn(turn_id=TurnId(1), request=request)
    caller = cast("Caller", None)
    prefix = prefix_of(*tokens)
    return TakenTurn(
        message=message, caller=caller, taken_at_s=0.0, prefix=prefix, phase=phase, n_looks=n_looks
    )


def test_the_most_that_was_saved_of_its_prefix_counts() -> None:
    taken = a_turn(*range(10))
    taken.note_saved(prefix_of(*range(6), 99), 7)
    assert taken.n_saved == 6
    taken.note_saved(prefix_of(*range(9)), 5)
    assert taken.n_saved == 6
    taken.note_saved(prefix_of(*range(9), namespace="cd"), 9)
    assert taken.n_saved == 6


@pytest.mark.parametrize("phase", ["new", "following", "running"])
def test_who_did_not_ask_or_will_ask_again_anyway_takes_no_note(phase: Phase) -> None:
    taken = a_turn(*range(10), phase=phase)
    taken.note_saved(prefix_of(*range(10)), 10)
    assert taken.n_saved == 0


def test_who_has_looked_often_enough_looks_no_more() -> None:
    taken = a_turn(*range(10), n_looks=3)
    taken.note_saved(prefix_of(*range(10)), 10)
    assert taken.n_saved == 0


def a_state() -> RestoredState:
    return cast("RestoredState", object())


def test_the_seconds_of_all_looks_belong_to_the_restore_that_they_brought() -> None:
    taken, state = a_turn(*range(10), phase="new"), a_state()
    taken.ask(10.0)
    assert taken.phase == "looking"
    taken.answer(state, 10.5)
    taken.ask(20.0)
    taken.answer(None, 20.25)

    assert (taken.phase, taken.restore) == ("ready", state)
    assert [taken.lookup_s(source) for source in ("ram", "disk")] == [0.75, 0.75]


@pytest.mark.parametrize("source", [None, "live", "turn"])
def test_looking_that_brought_nothing_was_waiting(source: PrefixSource | None) -> None:
    taken = a_turn(*range(10))
    taken.ask(1.0)
    taken.answer(None, 2.0)

    assert taken.lookup_s(source) == 0.0
