"""The options of the telemetry room."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from actorllama.options import option
from actorllama.telemetry.event import Level

__all__ = ["TelemetryOptions"]


@frozen(kw_only=True)
class TelemetryOptions:
    """How facts reach a reader of logs."""

    log_format: Literal["auto", "human", "json"] = option(
        "auto",
        doc="Form of a log line: human for people, json for machines, auto is human on a terminal only.",
        one_of=("auto", "human", "json"),
    )
    log_level: Level = option(
        "info",
        doc="Quietest level that is still logged.",
        one_of=("debug", "info", "warning", "error"),
    )
    log_prompts: bool = option(
        False,
        doc="Log what users and models say; otherwise only the lengths of their texts are logged.",
    )
