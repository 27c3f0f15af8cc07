"""How often somebody looks changes nothing about a turn's text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.text import TextAssembler
from actorllama.engine.turn_text import TurnText
from actorllama.ids import TurnId

pieces = st.sampled_from(
    [b"a", b"b", b"ab", b"", b"\xc3", b"\xb6", b"\xe2\x82", b"\xac", b"\xff", b"\xf0\x9f"]
)
stops = st.sampled_from([(), (), ("ab",), ("bb", "öa"), ("\ufffd",)])


@given(st.lists(st.tuples(pieces, st.booleans()), max_size=30), stops)
def prop_looking_changes_nothing(script: list[tuple[bytes, bool]], texts: tuple[str, ...]) -> None:
    plain = TextAssembler(texts)
    tokens: list[int] = []
    said = [piece for piece, _ in script]
    turn = TurnText(TextAssembler(texts), tokens, said.__getitem__)
    told, n_told = "", 0

    def look() -> None:
        nonlocal told, n_told
        piece = turn.told(TurnId(1))
        if piece is not None:
            told += piece.text
            n_told += piece.n_tokens

    for index, (piece, is_looking) in enumerate(script):
        plain.feed(piece)
        tokens.append(index)
        assert turn.has_stopped() == (plain.stop is not None)
        if is_looking:
            look()
            assert told == plain.text
        if turn.stop is not None:
            break
    plain.finish()
    turn.finish()
    look()
    assert told == turn.text == plain.text
    assert turn.tail == plain.tail
    assert turn.stop == plain.stop
    assert n_told == len(tokens)
