"""Steps of the runtime and bare ones in turns."""

from __future__ import annotations

import pytest
from attrs import define

from actorllama.bench.decode_blocks import N_BLOCK, BlockPair, StepBlocks, pairs_within
from actorllama.bench.harness import CpuMeter
from actorllama.engine import STEP_PARTS

BEFORE, AFTER = STEP_PARTS[:2], STEP_PARTS[2:]  # the computing of a step


@define
class Machine:
    """A clock that steps move on: the runtime's by 10, bare ones by 4, the first four of each by 100 more."""

    now_s: float = 0.0
    n_bare: int = 0
    n_in_a_row: int = 0

    def now(self) -> float:
        return self.now_s

    def bare_step(self, number: int) -> None:
        assert number == self.n_bare
        self.n_bare += 1
        self.n_in_a_row = self.n_in_a_row + 1 if number % N_BLOCK else 1
        self.now_s += 4.0 + (100.0 if self.n_in_a_row <= 4 else 0.0)

    def run(self, blocks: StepBlocks, n_steps: int) -> None:
        """Take steps as an engine loop does."""
        since = 0
        for _ in range(n_steps):
            n_bare = self.n_bare
            for part in BEFORE:
                blocks(part)
            since = 1 if self.n_bare > n_bare else since + 1
            self.now_s += 10.0 + (100.0 if since <= 4 else 0.0)
            for part in AFTER:
                blocks(part)


def test_each_block_is_followed_by_as_many_bare_steps_and_the_first_four_do_not_count() -> None:
    machine, cpu = Machine(), CpuMeter()
    blocks = StepBlocks(now=machine.now)
    blocks.begin(machine.bare_step, n_steps=1000, n_seq=8, cpu=cpu)
    machine.run(blocks, 3 * N_BLOCK + 1)
    pairs = blocks.take()
    assert [(pair.runtime_step_s, pair.bare_step_s) for pair in pairs] == [(10.0, 4.0)] * 3
    assert machine.n_bare == 3 * N_BLOCK
    assert cpu.n_tokens == 3 * N_BLOCK * 8
    assert all(pair.ended_s - pair.began_s == 10.0 * (N_BLOCK - 4) for pair in pairs)


def test_the_engines_clock_stands_still_while_bare_steps_are_computed() -> None:
    machine = Machine()
    blocks = StepBlocks(now=machine.now)
    blocks.begin(machine.bare_step, n_steps=1000, n_seq=1, cpu=CpuMeter())
    machine.run(blocks, 2 * N_BLOCK + 1)
    bare_s = 2 * (4.0 * N_BLOCK + 400.0)
    assert blocks.clock() == machine.now_s - bare_s


def test_the_runtime_goes_on_alone_once_the_bare_steps_are_spent() -> None:
    machine = Machine()
    blocks = StepBlocks(now=machine.now)
    blocks.begin(machine.bare_step, n_steps=2 * N_BLOCK - 1, n_seq=1, cpu=CpuMeter())
    machine.run(blocks, 4 * N_BLOCK)
    assert len(blocks.take()) == 1
    assert machine.n_bare == N_BLOCK


@pytest.mark.parametrize("n_steps", [0, N_BLOCK])
def test_turns_that_are_shorter_than_a_block_have_no_pair(n_steps: int) -> None:
    machine = Machine()
    blocks = StepBlocks(now=machine.now)
    blocks.begin(machine.bare_step, n_steps=1000, n_seq=1, cpu=CpuMeter())
    machine.run(blocks, n_steps)
    assert list(blocks.take()) == []
    machine.run(blocks, 2 * N_BLOCK)
    assert machine.n_bare == 0, "nobody measures any more"


def test_only_pairs_with_all_turns_count() -> None:
    pairs = [
        BlockPair(began_s=began_s, ended_s=began_s + 1.0, runtime_step_s=1.25, bare_step_s=1.0)
        for began_s in (1.0, 3.0, 5.0, 7.0)
    ]
    assert list(pairs_within(pairs, first_s=1.5, last_s=7.5)) == pairs[1:3]
    assert list(pairs_within(pairs, first_s=5.5, last_s=7.5)) == []
    assert pairs[0].ratio == 0.8
