"""llama.cpp computes one row and several in different ways; a turn must not show which neighbours it had.

Compared are the cells of the turn, byte by byte, and the log-probabilities of all its tokens. With F32 and
F16 weights every token that is computed in another way differs, so those say most about the planner.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest
from attrs import evolve

from actorllama.engine.commands import CancelTurn, GrantCredit, StartTurn
from actorllama.engine.loop import EngineLoop
from actorllama.engine.reports import StepReport, TokenLogprob
from actorllama.ids import SeqId, TurnId
from actorllama.native import ContextOptions, InferenceContext, ModelOptions, SamplingParams
from actorllama.native.llama import LlamaBackend
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES, WeightType

pytestmark = pytest.mark.model

SEQ_ID = 2
PROMPT = tuple(20 + 7 * index % 200 for index in range(75))
FLOATS: tuple[WeightType, ...] = ("F32", "F16")
Outcome = tuple[bytes, tuple[TokenLogprob, ...]]


class Rig:
    """An engine loop over a real context of five sequences; the turn that is looked at is number 0."""

    def __init__(self, loop: EngineLoop, context: InferenceContext, reports: list[StepReport]) -> None:
        self.loop = loop
        self._context = context
        self._reports = reports

    def start(
        self, turn_id: int, seq_id: int, prompt: Sequence[int], *, max_tokens: int, credit: int | None = None
    ) -> None:
        self.loop.apply(
            StartTurn(
                turn_id=TurnId(turn_id),
                seq_id=SeqId(seq_id),
                prompt=tuple(prompt),
                sampling=SamplingParams(temperature=0.9, seed=7, logprobs=2),
                max_tokens=max_tokens,
                keep=True,
                credit=credit,
            )
        )

    def cancel(self, turn_id: int) -> None:
        self.loop.apply(CancelTurn(turn_id=TurnId(turn_id), reason="enough"))

    def grant(self, turn_id: int, n_tokens: int) -> None:
        self.loop.apply(GrantCredit(grants=((TurnId(turn_id), n_tokens),)))

    def run(self, n_steps: int = 1000) -> None:
        for _ in range(n_steps):
            if not self.loop.is_runnable:
                break
            self.loop.step()

    def outcome(self, turn_id: int = 0) -> Outcome:
        """Return the cells and the log-probabilities of a turn that has ended."""
        (end,) = [end for report in self._reports for end in report.ended if end.turn_id == turn_id]
        assert end.kept is not None
        assert end.logprobs is not None
        return bytes(end.kept.kv), end.logprobs

    def state(self, seq_id: int) -> bytes:
        buffer = memoryview(bytearray(self._context.state_bytes(seq_id)))
        return bytes(buffer[: self._context.get_state(seq_id, buffer)])


@contextmanager
def open_rig(path: Path, *, pads_lone_rows: bool, n_ubatch: int = 32, n_together: int = 8) -> Generator[Rig]:
    """Open a loop whose prompts take several steps."""
    options = ContextOptions(n_seq=5, ctx_per_seq=256, n_batch=48, n_ubatch=n_ubatch, n_threads=1)
    model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
    with closing(model), closing(model.open_context(options)) as context:
        reports: list[StepReport] = []
        loop = EngineLoop(
            context=context,
            vocabulary=model.vocabulary,
            post=reports.append,
            n_mixed=24,
            n_together=n_together,
            pads_lone_rows=pads_lone_rows,
        )
        with closing(loop):
            yield Rig(loop, context, reports)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write one file for each type of weights."""
    root = tmp_path_factory.mktemp("classes")
    shape = SHAPES["llama"]
    return {
        weights: write_random_model(root / f"{weights}.gguf", evolve(shape, weights=weights), seed=3)
        for weights in get_args(WeightType)
    }


def alone(path: Path, *, pads_lone_rows: bool) -> Outcome:
    with open_rig(path, pads_lone_rows=pads_lone_rows) as rig:
        rig.start(0, SEQ_ID, PROMPT, max_tokens=20)
        rig.run()
        return rig.outcome()


def in_a_crowd(path: Path, *, pads_lone_rows: bool, n_ubatch: int = 32, n_together: int = 8) -> Outcome:
    """Neighbours on both sides: decoding, beginning beside it, ending, cancelled, paused, leaving gaps."""
    with open_rig(path, pads_lone_rows=pads_lone_rows, n_ubatch=n_ubatch, n_together=n_together) as rig:
        rig.start(1, 1, PROMPT[:30], max_tokens=9)
        rig.start(2, 3, PROMPT[5:10], max_tokens=60, credit=40)
        rig.run(5)
        rig.start(0, SEQ_ID, PROMPT, max_tokens=20)
        rig.run(2)
        rig.start(3, 4, PROMPT[:1], max_tokens=7)
        rig.run(4)
        rig.start(4, 0, PROMPT[::-1], max_tokens=3)
        rig.run(9)
        rig.cancel(2)
        rig.run(2)
        rig.start(5, 3, PROMPT[:74], max_tokens=5)
        rig.run()
        return rig.outcome()


@pytest.mark.parametrize("n_together", [8, 1000])
@pytest.mark.parametrize("weights", ["Q8_0", "Q4_0"])
def test_quantised_weights_are_exact_whatever_runs_beside(
    weights: str, n_together: int, paths: dict[str, Path]
) -> None:
    expected = alone(paths[weights], pads_lone_rows=False)

    assert in_a_crowd(paths[weights], pads_lone_rows=False, n_together=n_together) == expected


@pytest.mark.parametrize(("n_ubatch", "n_together"), [(6, 1000), (15, 1000), (32, 1000), (32, 8)])
@pytest.mark.parametrize("weights", FLOATS)
def test_weights_that_are_not_quantised_are_exact_where_no_row_is_computed_alone(
    weights: str, n_ubatch: int, n_together: int, paths: dict[str, Path]
) -> None:
    expected = alone(paths[weights], pads_lone_rows=True)
    crowd = in_a_crowd(paths[weights], pads_lone_rows=True, n_ubatch=n_ubatch, n_together=n_together)

    assert crowd == expected


@pytest.mark.parametrize("weights", FLOATS)
def test_a_turn_that_stands_still_is_not_disturbed_by_the_rows_it_lends(
    weights: str, paths: dict[str, Path]
) -> None:
    expected = alone(paths[weights], pads_lone_rows=True)
    with open_rig(paths[weights], pads_lone_rows=True) as rig:
        rig.start(0, SEQ_ID, PROMPT, max_tokens=20, credit=5)
        rig.run()
        rig.start(1, 1, PROMPT[::-1], max_tokens=40)
        rig.run()
        rig.start(2, 3, PROMPT[::-1], max_tokens=40)
        rig.run()
        rig.grant(0, 100)
        rig.run()

        assert rig.outcome(1)[1] == rig.outcome(2)[1]
        assert rig.outcome() == expected


@pytest.mark.parametrize("weights", FLOATS)
def test_what_idle_sequences_hold_is_not_disturbed_by_the_rows_they_lend(
    weights: str, paths: dict[str, Path]
) -> None:
    with open_rig(paths[weights], pads_lone_rows=True) as rig:
        rig.start(0, SEQ_ID, PROMPT, max_tokens=20)
        rig.run()
        rig.start(1, SEQ_ID - 1, PROMPT[::-1], max_tokens=30)
        rig.run()

        assert rig.state(SEQ_ID) == rig.outcome()[0]


@pytest.mark.parametrize("lengths", [(10, 10, 10), (10, 11, 13), (2, 3, 4), (33, 1, 34)])
@pytest.mark.parametrize("weights", FLOATS)
def test_prompts_that_are_computed_together_see_what_each_sees_alone(
    weights: str, lengths: tuple[int, ...], paths: dict[str, Path]
) -> None:
    """The outputs of a micro-batch are computed together too, so one output must not be alone."""
    with open_rig(paths[weights], pads_lone_rows=True, n_together=1000) as rig:
        for seq_id, n_prompt in enumerate(lengths):
            rig.start(seq_id, seq_id, PROMPT[:n_prompt], max_tokens=3)
        rig.run()
        together = [rig.outcome(seq_id) for seq_id in range(3)]
    with open_rig(paths[weights], pads_lone_rows=True) as rig:
        for seq_id, n_prompt in enumerate(lengths):
            rig.start(seq_id, seq_id, PROMPT[:n_prompt], max_tokens=3)
            rig.run()
        apart = [rig.outcome(seq_id) for seq_id in range(3)]

    assert together == apart
