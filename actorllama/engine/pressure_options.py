"""When memory counts as short, and how fast it is asked back."""

from __future__ import annotations

from attrs import frozen

from actorllama.options import option

__all__ = ["PressureOptions"]


@frozen(kw_only=True)
class PressureOptions:
    """Watermarks and bounds for every domain: the host, and each GPU."""

    sample_interval_s: float = option(
        1.0, doc="Seconds between two looks at memory; 0 never looks.", unit="s", at_least=0.0
    )
    high_share: float = option(
        0.92,
        doc="Used memory by limit at which it is asked back.",
        at_least=0.01,
        at_most=1.0,
    )
    low_share: float = option(
        0.85,
        doc="Used memory by limit at which asking ends; at most high_share.",
        at_least=0.0,
        at_most=1.0,
    )
    high_stall_share: float = option(
        0.3,
        doc="Share of ten seconds that tasks waited for memory, at which it is asked back.",
        at_least=0.01,
        at_most=1.0,
    )
    low_stall_share: float = option(
        0.05, doc="The same, at which asking ends; at most high_stall_share.", at_least=0.0, at_most=1.0
    )
    interval_s: float = option(
        2.0, doc="Seconds between two steps of one domain's ladder at least.", unit="s", at_least=0.0
    )
    answer_timeout_s: float = option(
        60.0, doc="Seconds after which an unanswered request counts as refused.", unit="s", at_least=0.1
    )
    stall_relief_bytes: int = option(
        64 << 20,
        doc="What is asked back where tasks wait for memory and no limit tells how much is missing.",
        unit="bytes",
        at_least=1,
    )

    fits_check: str = option(
        "refuse",
        doc="A model that will not fit into free memory: refuse to load it, warn, or off: do not look.",
        one_of=("refuse", "warn", "off"),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse watermarks that cross."""
        if self.low_share > self.high_share:
            raise ValueError(f"'low_share' must be at most high_share, {self.high_share}: {self.low_share}")
        if self.low_stall_share > self.high_stall_share:
            most = self.high_stall_share
            raise ValueError(
                f"'low_stall_share' must be at most high_stall_share, {most}: {self.low_stall_share}"
            )
