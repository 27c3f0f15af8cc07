"""Text assembly: any bytes, cut anywhere, any stop strings."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.text import TextAssembler
from props.engine_strategies import cuts, stop_strings, texts


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Find the leftmost stop string by trying every place; of several at one place the longest."""
    for at in range(len(text)):
        here = [stop for stop in stops if text.startswith(stop, at)]
        if here:
            return at, max(here, key=len)
    return None


def assemble(pieces: Sequence[bytes], stops: tuple[str, ...]) -> tuple[TextAssembler, bytes, list[str]]:
    """Feed pieces as a turn does: up to the one that completes a stop string, or to the end.

    Returns:
        The assembler, the bytes that were fed, and what was shown after each piece.
    """
    assembler = TextAssembler(stops)
    fed = b""
    shown: list[str] = [""]
    for piece in pieces:
        fed += piece
        shown.append(shown[-1] + assembler.feed(piece))
        if assembler.stop is not None:
            return assembler, fed, shown
    shown.append(shown[-1] + assembler.finish())
    return assembler, fed, shown


@given(text=texts(), stops=stop_strings(), cut=cuts())
def prop_text_ends_before_the_leftmost_stop_wherever_the_bytes_are_cut(
    text: str, stops: tuple[str, ...], cut: tuple[int, ...]
) -> None:
    """And it is all of the text before it: nothing is lost, nothing of the stop string shows.

    Of a stop string that is complete, that is: with the stops "a" and "baa" the turn ends when "ba" has come.
    """
    assembler, fed, shown = assemble(pieces_of(text.encode(), cut), stops)
    decoded = fed.decode(errors="ignore")
    found = first_stop(decoded, stops)

    if found is None:
        assert (shown[-1], assembler.stop) == (text, None)
    else:
        assert (shown[-1], assembler.stop) == (decoded[: found[0]], found[1])
    assert assembler.text == shown[-1]


@given(text=texts(), stops=stop_strings(), cut=cuts())
def prop_nothing_is_ever_shown_that_would_have_to_be_taken_back(
    text: str, stops: tuple[str, ...], cut: tuple[int, ...]
) -> None:
    _, _, shown = assemble(pieces_of(text.encode(), cut), stops)
    assert all(shown[-1].startswith(before) for before in shown)


@given(text=texts(), stops=stop_strings(), cut=cuts())
def prop_after_a_stop_string_nothing_is_shown_any_more(
    text: str, stops: tuple[str, ...], cut: tuple[int, ...]
) -> None:
    assembler, _, _ = assemble(pieces_of(text.encode(), cut), stops)
    if assembler.stop is not None:
        assert [assembler.feed(piece) for piece in (b"a", b"\xe2", b"zzz")] == [""] * 3
        assert assembler.finish() == ""


@given(data=st.binary(max_size=40), cut=cuts())
def prop_bytes_of_any_kind_are_decoded_as_if_they_had_come_at_once(data: bytes, cut: tuple[int, ...]) -> None:
    """A character that is unfinished at the end is no text yet."""
    _, _, whole = assemble([data], ())
    _, _, in_pieces = assemble(pieces_of(data, cut), ())

    assert in_pieces[-1] == whole[-1]
    assert data.decode(errors="replace").startswith(whole[-1])
    # Up to three bytes wait for the rest of their character; b"\xed\xa0", which can become none, waits too.
    assert len(data.decode(errors="replace")) - len(whole[-1]) <= 3


@given(text=texts(), stops=stop_strings(), cut=cuts())
def prop_text_is_held_back_only_while_it_may_become_a_stop_string(
    text: str, stops: tuple[str, ...], cut: tuple[int, ...]
) -> None:
    """What is held is a proper beginning of a stop string: no reader waits for nothing."""
    assembler = TextAssembler(stops)
    fed = b""
    shown = ""
    for piece in pieces_of(text.encode(), cut):
        fed += piece
        shown += assembler.feed(piece)
        if assembler.stop is not None:
            return
        held = fed.decode(errors="ignore")[len(shown) :]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def pieces_of(data: bytes, cut: tuple[int, ...]) -> list[bytes]:
    """Cut bytes into pieces of these lengths, over and over; a length of 0 is a piece without bytes."""
    pieces: list[bytes] = []
    at = index = 0
    while at < len(data):
        n = cut[index % len(cut)] if index < 3 * len(cut) else max(1, *cut)
        pieces.append(data[at : at + n])
        at += n
        index += 1
    return pieces
