"""From token bytes to text: whole characters, and no part of a stop string."""

from __future__ import annotations

import pytest

from actorllama.engine.text import TextAssembler


def feed(assembler: TextAssembler, *pieces: bytes) -> list[str]:
    """Feed the pieces and finish, as the end of a turn does."""
    return [*(assembler.feed(piece) for piece in pieces), assembler.finish()]


def test_text_without_stops_comes_at_once() -> None:
    assert feed(TextAssembler(), b"ab", b"c") == ["ab", "c", ""]


@pytest.mark.parametrize("at", range(1, 12))
def test_a_character_is_never_cut_wherever_its_bytes_are(at: int) -> None:
    data = "ö€🦙a€".encode()

    first, second, rest = feed(TextAssembler(), data[:at], data[at:])

    assert first + second + rest == "ö€🦙a€"
    assert "\ufffd" not in first


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert feed(TextAssembler(), b"a\xff", b"b") == ["a\ufffd", "b", ""]


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    assembler = TextAssembler()

    assert feed(assembler, b"a\xe2\x82") == ["a", ""]
    assert assembler.text == "a"


def test_a_stop_string_in_one_piece_ends_the_text_before_it() -> None:
    assembler = TextAssembler(("STOP",))

    assert feed(assembler, b"one STOP two") == ["one ", ""]
    assert assembler.stop == "STOP"


@pytest.mark.parametrize("at", range(1, 8))
def test_a_stop_string_is_found_wherever_it_is_cut(at: int) -> None:
    assembler = TextAssembler(("STOP",))
    data = b"one STOP"

    assert "".join(feed(assembler, data[:at], data[at:])) == "one "
    assert assembler.stop == "STOP"


def test_a_stop_string_is_found_when_every_byte_comes_alone() -> None:
    assembler = TextAssembler(("</s>",))

    assert "".join(feed(assembler, *(bytes((byte,)) for byte in b"a</b></s>"))) == "a</b>"


def test_a_stop_string_of_characters_cut_in_bytes_is_found() -> None:
    assembler = TextAssembler(("🦙🦙",))

    assert "".join(feed(assembler, *(bytes((byte,)) for byte in "a🦙b🦙🦙c".encode()))) == "a🦙b"


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_none() -> None:
    assembler = TextAssembler(("STOP",))

    assert assembler.feed(b"a ST") == "a "
    assert assembler.feed(b"AY") == "STAY"


def test_a_beginning_inside_a_false_beginning_is_held_too() -> None:
    assembler = TextAssembler(("aab",))

    assert assembler.feed(b"aa") == ""
    assert assembler.feed(b"a") == "a"
    assert assembler.feed(b"b") == ""
    assert (assembler.stop, assembler.text) == ("aab", "a")


def test_what_was_held_back_comes_at_the_end() -> None:
    assert feed(TextAssembler(("STOP",)), b"a ST") == ["a ", "ST"]


def test_the_leftmost_of_two_stop_strings_wins() -> None:
    assembler = TextAssembler(("two", "one"))

    assert feed(assembler, b"0 one two")[0] == "0 "
    assert assembler.stop == "one"


def test_of_two_stop_strings_at_one_place_the_longer_wins() -> None:
    assembler = TextAssembler(("ab", "abc"))

    assembler.feed(b"xabc")

    assert (assembler.text, assembler.stop) == ("x", "abc")


def test_overlapping_stop_strings_do_not_hide_each_other() -> None:
    assembler = TextAssembler(("abcd", "bc"))

    assert feed(assembler, b"xab", b"cx") == ["x", "a", ""]
    assert assembler.stop == "bc"


def test_after_a_stop_string_nothing_comes_any_more() -> None:
    assembler = TextAssembler(("X",))

    assert feed(assembler, b"aXb", b"c", b"X") == ["a", "", "", ""]
