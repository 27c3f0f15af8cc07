"""The whole configuration as one frozen value."""

from __future__ import annotations

from typing import get_type_hints

import attrs
from attrs import frozen

from actorllama.config.merge import Sections
from actorllama.engine import EngineOptions, ObserveOptions, PressureOptions
from actorllama.kvcache import CacheOptions
from actorllama.native import ContextOptions, ModelOptions
from actorllama.telemetry import TelemetryOptions

__all__ = ["SECTIONS", "Config"]


@frozen(kw_only=True)
class Config:
    """Every option of every room; each field is a section, each section the option class of its room.

    A room's options are added here and nowhere else: the TOML file, the variables and the arguments
    follow from the fields.
    """

    engine: EngineOptions = attrs.field(factory=EngineOptions)
    model: ModelOptions = attrs.field(factory=ModelOptions)
    context: ContextOptions = attrs.field(factory=ContextOptions)
    cache: CacheOptions = attrs.field(factory=CacheOptions)
    pressure: PressureOptions = attrs.field(factory=PressureOptions)
    observe: ObserveOptions = attrs.field(factory=ObserveOptions)
    telemetry: TelemetryOptions = attrs.field(factory=TelemetryOptions)


SECTIONS: Sections = get_type_hints(Config)
"""The sections by name, in the order of ``config/default.toml``."""
