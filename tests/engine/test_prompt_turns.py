"""Prompts are computed one after the other, and keep nobody waiting who decodes."""

from __future__ import annotations

import pytest

from actorllama.engine.commands import CancelTurn, CaptureCells
from actorllama.engine.plan_parts import enough_together
from actorllama.ids import TurnId
from actorllama.native.memory_devices import BufferSize
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.loop_rig import open_loop

ENDLESS = FakeLanguage(end_one_in=0)


def test_prompts_take_turns_and_nobody_decodes_before_all_have_had_theirs() -> None:
    with open_loop(FakeBackend(ENDLESS), n_batch=64, n_together=8) as rig:
        rig.start(1, "a" * 12, max_tokens=4)
        rig.start(2, "b" * 10, seq_id=1, max_tokens=4)
        rig.start(3, "c" * 14, seq_id=2, max_tokens=4)
        rig.run()

        first = [list(batch.seq_ids) for batch in rig.backend.batches[:4]]
        n = [len(rig.tokens(text)) for text in ("a" * 12, "b" * 10, "c" * 14)]
        assert first == [[1] * n[1], [0] * n[0], [2] * n[2], [0, 1, 2]]
        assert [rig.outcome(i) for i in (1, 2, 3)] == [rig.expected(i) for i in (1, 2, 3)]


def test_a_prompt_that_is_cancelled_or_copied_while_it_waits_is_planned_anew() -> None:
    with open_loop(FakeBackend(ENDLESS), n_batch=64, n_together=8) as rig:
        for turn_id in (1, 2, 3):
            rig.start(turn_id, range(5, 15 + turn_id), seq_id=turn_id - 1, max_tokens=4)
        rig.run(n_steps=1)
        rig.loop.apply(CancelTurn(turn_id=TurnId(2), reason="left"))
        rig.start(4, range(5, 17), seq_id=1, max_tokens=4)
        rig.loop.apply(CaptureCells(turn_id=TurnId(3), n_cells=9))
        rig.run()

        computed = [list(batch.seq_ids) for batch in rig.backend.batches[1:5]]
        assert sorted(computed[:2]) == [[1] * 12, [2] * 9], "up to the copy"
        assert computed[2:] == [[2] * 4, [0, 1, 2]]
        captured = [one for report in rig.reports for one in report.captured]
        assert [(one.turn_id, one.n_cells, one.kv is not None) for one in captured] == [(3, 9, True)]
        assert [rig.outcome(i) for i in (1, 3, 4)] == [rig.expected(i) for i in (1, 3, 4)]


def test_who_decodes_waits_for_no_more_than_that_however_many_prompts_come() -> None:
    with open_loop(FakeBackend(ENDLESS), n_seq=6, n_batch=64, n_mixed=20, n_together=8) as rig:
        rig.start(1, "a", max_tokens=40)
        rig.run(n_steps=1)
        for turn_id in range(2, 7):
            rig.start(turn_id, range(5, 14), seq_id=turn_id - 1, max_tokens=30)
        rig.run()

        n_since = 0
        for batch in rig.backend.batches[1:]:
            n_since = 0 if 0 in batch.seq_ids else n_since + len(batch.seq_ids)
            assert n_since <= 20 or 1 in rig.ends
        assert [rig.outcome(i) for i in range(1, 7)] == [rig.expected(i) for i in range(1, 7)]


def test_who_has_its_first_token_before_the_others_does_not_wait_for_all_of_them() -> None:
    with open_loop(FakeBackend(ENDLESS), n_seq=6, n_batch=96, n_mixed=20, n_together=8) as rig:
        for turn_id in range(1, 7):
            rig.start(turn_id, range(5, 20), seq_id=turn_id - 1, max_tokens=30)
        rig.run()

        since: dict[int, int] = {}
        for batch in rig.backend.batches:
            rows = set(batch.seq_ids)
            since = {seq_id: 0 if seq_id in rows else n + len(batch.seq_ids) for seq_id, n in since.items()}
            assert max(since.values(), default=0) <= 20
            since |= dict.fromkeys(rows, 0)
        is_rows = [len(set(batch.seq_ids)) == len(batch.seq_ids) for batch in rig.backend.batches]
        assert False in is_rows[is_rows.index(True) :], "they decode before the last prompt is computed"
        assert [rig.outcome(i) for i in range(1, 7)] == [rig.expected(i) for i in range(1, 7)]


@pytest.mark.parametrize(
    ("asked", "labels", "enough"),
    [
        (0, (), 32),
        (0, ("CPU", "CPU_Mapped", "CPU_REPACK"), 32),
        (0, ("CPU_Mapped", "CUDA0", "CUDA_Host"), 1 << 20),
        (7, ("CPU_Mapped", "CUDA0"), 7),
        (900, ("CPU",), 900),
    ],
)
def test_a_call_is_full_by_what_was_asked_for_or_where_the_weights_lie(
    asked: int, labels: tuple[str, ...], enough: int
) -> None:
    buffers = [BufferSize(label=label, what="model", n_bytes=1) for label in labels]
    buffers.append(BufferSize(label="CUDA0", what="KV", n_bytes=1))
    assert enough_together(asked, buffers) == enough
