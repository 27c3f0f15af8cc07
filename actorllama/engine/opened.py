"""What follows from an open context: what its callers know, and how its sequences are leased."""

from __future__ import annotations

from attrs import evolve

from actorllama.engine.context_cells import ContextCells
from actorllama.engine.messages import ModelInfo, ModelStatus, Open
from actorllama.engine.reports import LoopStatistics
from actorllama.engine.spec import ModelSpec
from actorllama.engine.turn_desk import TurnDesk

__all__ = ["cells_of", "info_of", "status_of"]


def info_of(opened: Open, spec: ModelSpec) -> ModelInfo:
    """Say what callers need to know to make requests."""
    facts = opened.context.facts
    return ModelInfo(
        facts=opened.model.facts,
        # Where rows are lent, a cell of each sequence is for that.
        context=evolve(facts, ctx_per_seq=facts.ctx_per_seq - opened.verdict.pads_lone_rows),
        vocabulary=opened.model.vocabulary,
        options=spec.context_options,
        stream_window=spec.engine_options.stream_window,
        namespace=opened.namespace,
        verdict=opened.verdict,
    )


def cells_of(opened: Open, spec: ModelSpec) -> ContextCells:
    """Make the pool of a context's sequences, all free and empty."""
    return ContextCells(
        n_slots=opened.context.facts.n_seq,
        namespace=opened.namespace,
        block_tokens=spec.cache_options.block_tokens,
        n_reuse=spec.engine_options.n_reuse,
        shares=spec.engine_options.prefix_cache,
        cutter=opened.context.cutter,
        can_restore=opened.verdict.level != "recomputed",
        model=spec.name,
    )


def status_of(
    spec: ModelSpec,
    state: str,
    info: ModelInfo | None,
    desk: TurnDesk | None,
    statistics: LoopStatistics | None,
) -> ModelStatus:
    """Say what a model is doing; while it is loading there is neither ``info`` nor ``desk``."""
    options = spec.context_options
    return ModelStatus(
        name=spec.name,
        state=state,
        path=str(spec.path),
        n_seq=info.context.n_seq if info else options.n_seq,
        ctx_per_seq=info.context.ctx_per_seq if info else options.ctx_per_seq,
        n_live=desk.n_running if desk else 0,
        n_queued=desk.n_queued if desk else 0,
        n_free_slots=desk.n_free_slots if desk else 0,
        exactness=info.verdict.level if info else None,
        statistics=statistics,
    )
