"""A turn's text comes in pieces, whenever somebody looks, and none is lost or told twice."""

from __future__ import annotations

import pytest

from actorllama.engine.reports import Piece
from actorllama.engine.text import TextAssembler
from actorllama.engine.turn_text import TurnText
from actorllama.ids import TurnId

TURN = TurnId(7)


def piece(token: int) -> bytes:
    return bytes([token])


def begun(*stops: str) -> tuple[TurnText, list[int]]:
    tokens: list[int] = []
    return TurnText(TextAssembler(stops), tokens, piece), tokens


def test_what_came_between_two_looks_is_one_piece_with_the_number_of_its_tokens() -> None:
    text, tokens = begun()
    assert text.told(TURN) is None
    tokens += b"ab"
    assert text.told(TURN) == Piece(TURN, "ab", 2)
    assert text.told(TURN) is None
    tokens += b"c"
    assert text.told(TURN) == Piece(TURN, "c", 1)
    assert text.text == "abc"


def test_tokens_without_text_are_told_for_the_sake_of_credit() -> None:
    text, tokens = begun()
    tokens += "ö".encode()[:1]
    assert text.told(TURN) == Piece(TURN, "", 1)
    tokens += "ö".encode()[1:]
    assert text.told(TURN) == Piece(TURN, "ö", 1)


def test_a_stop_string_is_seen_at_its_last_token_and_never_told() -> None:
    text, tokens = begun("END")
    seen: list[bool] = []
    for token in b"aEND":
        tokens.append(token)
        seen.append(text.has_stopped())
    assert seen == [False, False, False, True]
    assert text.stop == "END"
    text.finish()
    assert text.told(TURN) == Piece(TURN, "a", 4)
    assert text.text == "a"


def test_what_was_held_for_a_stop_string_is_told_at_the_end_without_a_token() -> None:
    text, tokens = begun("END")
    tokens += b"aEN"
    assert not text.has_stopped()
    assert text.told(TURN) == Piece(TURN, "a", 3)
    text.finish()
    assert text.told(TURN) == Piece(TURN, "EN", 0)
    assert text.tail == ("EN", b"")


@pytest.mark.parametrize("stops", [(), ("zzz",)])
def test_a_token_that_ends_the_generation_is_neither_text_nor_counted(stops: tuple[str, ...]) -> None:
    text, tokens = begun(*stops)
    tokens += b"ab"
    tokens.append(3)
    text.leave_out_last()
    text.finish()
    assert text.told(TURN) == Piece(TURN, "ab", 2)
    assert text.text == "ab"
