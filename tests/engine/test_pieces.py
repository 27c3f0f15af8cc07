"""What came for a turn between two reports is one piece."""

from __future__ import annotations

from actorllama.engine.loop import EngineLoop
from actorllama.engine.pieces import Pieces
from actorllama.engine.reports import Piece
from actorllama.ids import TurnId
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.loop_rig import open_loop

ONE, TWO = TurnId(1), TurnId(2)


def test_text_and_tokens_of_a_turn_are_added_up_in_their_order() -> None:
    pieces = Pieces()
    pieces.add(ONE, "a", 1)
    pieces.add(TWO, "x", 1)
    pieces.add(ONE, "", 1)
    pieces.add(ONE, "b", 1)

    assert pieces.take() == (Piece(ONE, "ab", 3), Piece(TWO, "x", 1))


def test_tokens_without_text_are_something_and_what_was_taken_is_nothing() -> None:
    pieces = Pieces()
    assert not pieces
    pieces.add(ONE, "", 1)
    assert pieces
    assert pieces.take() == (Piece(ONE, "", 1),)
    assert not pieces
    assert pieces.take() == ()


def test_a_report_has_one_piece_of_each_turn_that_has_a_reader() -> None:
    with open_loop(FakeBackend(FakeLanguage(end_one_in=0))) as rig:
        rig.loop = EngineLoop(
            context=rig.context,
            vocabulary=rig.model.vocabulary,
            post=rig.reports.append,
            n_mixed=64,
            post_interval_s=1e9,
        )
        rig.start(1, "read", max_tokens=20, credit=40)
        rig.start(2, "read, too", seq_id=1, max_tokens=20, credit=40)
        rig.start(3, "not read", seq_id=2, max_tokens=20)
        rig.run()

        told = [[piece.turn_id for piece in report.pieces] for report in rig.reports]
        assert [sorted(set(turn_ids)) for turn_ids in told] == [sorted(turn_ids) for turn_ids in told]
        assert len(told) < 10, "first tokens, and ends"
        for turn_id in (1, 2):
            assert rig.text(turn_id) == rig.ends[turn_id].text
            assert rig.n_told(turn_id) == len(rig.ends[turn_id].tokens) == 20
        assert rig.n_told(3) == 0
