"""A probe hears of every part of every step, in order."""

from __future__ import annotations

from actorllama.engine.host import EngineHost
from actorllama.engine.step_probe import STEP_PARTS, StepPart
from actorllama.testing.loop_rig import open_loop

CHOOSING = ["plan", "decode", "turns", "choose", "turns", "post", "between"]
PREFILLING = ["plan", "decode", "turns", "post", "between"]


def test_a_step_that_chooses_and_one_that_only_reads_its_prompt_are_told_in_parts() -> None:
    with open_loop(n_seq=2, n_batch=8, n_ubatch=8, n_mixed=8) as rig:
        parts: list[StepPart] = []
        rig.loop.probe_with(parts.append)
        rig.start(1, "hello, this is a long prompt", max_tokens=2)
        rig.loop.step()
        assert parts == PREFILLING
        while not rig.ends:
            parts.clear()
            rig.loop.step()
        assert parts == CHOOSING
        assert set(parts) == set(STEP_PARTS)
        parts.clear()
        rig.loop.step()
        assert parts == ["plan"]  # there was nothing to do


def test_a_host_gives_its_probe_to_the_loops_that_it_steps() -> None:
    with open_loop() as rig:
        parts: list[StepPart] = []
        EngineHost(probe=parts.append).attach(rig.loop, on_failed=lambda error: None)
        rig.start(1, "hello", max_tokens=1)
        while not rig.ends:
            rig.loop.step()
        assert parts[-7:] == CHOOSING
