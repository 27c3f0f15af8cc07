"""Whether and how a running runtime can be looked at from outside."""

from __future__ import annotations

from attrs import frozen

from actorllama.options import option

__all__ = ["ObserveOptions"]


@frozen(kw_only=True)
class ObserveOptions:
    """A runtime with a state directory can be observed from another terminal, by the same user."""

    is_enabled: bool = option(
        True, doc="Whether a runtime with a state directory listens there for `actorllama top`."
    )
    interval_s: float = option(
        0.5, doc="Seconds between two snapshots for those who watch.", unit="s", at_least=0.05, at_most=60.0
    )
    n_events: int = option(
        50, doc="Recent events that a snapshot tells, without prompts and replies.", at_least=0, at_most=1000
    )
