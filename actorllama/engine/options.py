"""How the engine admits turns and builds its steps."""

from __future__ import annotations

from attrs import frozen

from actorllama.options import option

__all__ = ["EngineOptions"]


@frozen(kw_only=True)
class EngineOptions:
    """What holds for every model of a runtime, unless ``load`` says otherwise."""

    queue_capacity: int = option(
        256,
        doc="Turns that may wait for a sequence; one more is refused as Busy.",
        at_least=0,
        at_most=1_000_000,
    )
    stream_window: int = option(
        64, doc="Tokens that a turn may run ahead of its reader.", unit="tokens", at_least=2, at_most=1 << 20
    )
    n_mixed: int = option(
        256,
        doc="Prompt tokens at most between two steps of sequences that decode: bounds how long they wait.",
        unit="tokens",
        at_least=2,
        at_most=1 << 16,
    )
    n_together: int = option(
        0,
        doc="Prompt tokens from which on the next prompt waits for a call of its own, so that the first need "
        "not wait for the last; 0: 32 on a CPU, all at once where layers are on a GPU.",
        unit="tokens",
        at_least=0,
        at_most=1 << 20,
    )
    post_interval_s: float = option(
        0.03,
        doc="Text so soon after a report waits for the next (3 x with 9 turns); 0 tells every step.",
        unit="s",
        at_least=0.0,
        at_most=1.0,
    )
    switch_interval_s: float = option(
        0.0005,
        doc="How long another thread may keep the engine waiting for Python, process-wide; 0: as it is.",
        unit="s",
        at_least=0.0,
        at_most=1.0,
    )
    prefix_cache: bool = option(
        True,
        doc="Whether prompts may begin with cells that other turns computed; kept turns resume anyway.",
    )
    n_reuse: int = option(
        32,
        doc="Tokens that a prompt must have in common with something saved before that is used.",
        unit="tokens",
        at_least=1,
        at_most=1 << 20,
    )
    canary: str = option(
        "load",
        doc="load: try at load which level of exactness a model holds; off: promise no more than faithful.",
        one_of=("load", "off"),
    )
    canary_budget_s: float = option(
        2.0,
        doc="Seconds that trying may take; slow models are tried with fewer tokens.",
        unit="s",
        at_least=0.0,
    )
    unload_grace_s: float = option(
        10.0,
        doc="Seconds that running turns get to end when their model is unloaded.",
        unit="s",
        at_least=0.0,
    )
    max_restarts: int = option(
        3, doc="Restarts of one model within restart_period_s.", at_least=0, at_most=1000
    )
    restart_period_s: float = option(60.0, doc="The window of max_restarts.", unit="s", at_least=0.001)
