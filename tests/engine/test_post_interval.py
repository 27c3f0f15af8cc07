"""Text may wait a moment for the next report; ends, first tokens and the text before a pause may not."""

from __future__ import annotations

from actorllama.engine.commands import StartTurn
from actorllama.engine.loop import EngineLoop
from actorllama.engine.reports import StepReport
from actorllama.ids import SeqId, TurnId
from actorllama.native import SamplingParams
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.loop_rig import LoopRig, open_loop

ENDLESS = FakeLanguage(end_one_in=0)


class Told:
    """A loop that may wait ten seconds, with a clock that the test moves."""

    def __init__(self, rig: LoopRig) -> None:
        self.now_s = 100.0
        self.reports: list[StepReport] = []
        self.loop = EngineLoop(
            context=rig.context,
            vocabulary=rig.model.vocabulary,
            post=self.reports.append,
            n_mixed=64,
            n_together=32,
            post_interval_s=10.0,
            clock=lambda: self.now_s,
        )
        self._rig = rig

    def start(self, turn_id: int, *, max_tokens: int, credit: int) -> None:
        self.loop.apply(
            StartTurn(
                turn_id=TurnId(turn_id),
                seq_id=SeqId(turn_id),
                prompt=self._rig.tokens("hello"),
                sampling=SamplingParams(temperature=0.0),
                max_tokens=max_tokens,
                credit=credit,
            )
        )

    def step(self, n: int = 1) -> None:
        for _ in range(n):
            self.loop.step()

    @property
    def n_tokens(self) -> list[int]:
        return [sum(piece.n_tokens for piece in report.pieces) for report in self.reports]


def test_the_first_token_is_told_at_once_and_the_next_ones_together() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        told = Told(rig)
        told.start(1, max_tokens=50, credit=50)
        told.step()
        assert told.n_tokens == [1]
        told.step(5)
        assert told.n_tokens == [1]
        told.now_s += 10.0
        told.step()
        assert told.n_tokens == [1, 6]
        told.loop.close()


def test_with_many_turns_reports_come_less_often() -> None:
    with open_loop(FakeBackend(ENDLESS), n_seq=6) as rig:
        told = Told(rig)
        for turn_id in range(6):
            told.start(turn_id, max_tokens=50, credit=50)
        told.step(10)
        n_reports = len(told.reports)  # of first tokens, which do not wait
        for wait_s in (10.0, 9.0):
            told.now_s += wait_s
            told.step()
        assert len(told.reports) == n_reports
        told.now_s += 1.0
        told.step()
        assert len(told.reports) == n_reports + 1
        told.loop.close()


def test_an_end_is_told_at_once_with_all_the_text_before_it() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        told = Told(rig)
        told.start(1, max_tokens=5, credit=50)
        told.step(5)
        assert told.n_tokens == [1, 4]
        assert [len(report.ended) for report in told.reports] == [0, 1]


def test_what_cannot_wait_takes_no_text_of_others_along() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        told = Told(rig)
        told.start(1, max_tokens=50, credit=50)
        told.step()
        told.start(2, max_tokens=3, credit=50)
        told.step(6)
        assert [[piece.turn_id for piece in report.pieces] for report in told.reports] == [[1], [2], [2]]
        assert [len(report.ended) for report in told.reports] == [0, 0, 1]
        told.now_s += 10.0
        told.step()
        assert [piece.turn_id for piece in told.reports[-1].pieces] == [1]
        told.loop.close()


def test_nothing_waits_when_every_reader_has_to_catch_up_first() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        told = Told(rig)
        told.start(1, max_tokens=50, credit=4)
        told.step(4)
        assert not told.loop.is_runnable
        assert told.n_tokens == [1, 3]
        told.loop.close()
