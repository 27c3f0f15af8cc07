"""What the pressure actor says, in words."""

from __future__ import annotations

from attrs import evolve

from actorllama.cli.console.pressure_words import pressure_lines
from actorllama.engine import DomainView
from actorllama.engine.pressure_plan import Step
from actorllama.native.memory import HOST

CALM = DomainView(
    domain=HOST,
    is_pressed=False,
    used_bytes=1 << 30,
    limit_bytes=4 << 30,
    low_share=0.5,
    high_share=0.75,
    stall_share=None,
    rung=None,
    n_pending=0,
    closed=(),
    offered=(),
    won=(),
)


def test_a_memory_that_is_not_short_is_calm() -> None:
    assert pressure_lines(CALM) == (
        "host: calm",
        "  watermarks  1.0 GiB used, asked back from 3.0 GiB (75%) to 2.0 GiB (50%)",
        "  offered     nothing",
        "  won         nothing",
    )


def test_a_memory_that_is_short_tells_its_rung_and_what_there_is() -> None:
    short = evolve(
        CALM,
        is_pressed=True,
        rung=Step.DROP_SCRATCH,
        n_pending=1,
        closed=("chat", "code"),
        offered=((Step.DEMOTE, 1 << 20), (Step.UNLOAD, 5 << 30)),
        won=((Step.EVICT, 2048),),
        limit_bytes=None,
    )
    assert pressure_lines(short) == (
        "host: SHORT OF MEMORY, on the rung drop_scratch, 1 not answered",
        "  watermarks  low 50%, high 75%, no limit is known",
        "  offered     demote 1.0 MiB, unload 5.0 GiB",
        "  won         evict 2.0 KiB",
        "  closed      chat, code: no new turns",
    )
