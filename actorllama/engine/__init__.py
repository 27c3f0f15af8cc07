"""The life of a turn: admission, slots, steps, and the actors that decide.

**What lives here.** ``model_actor.py``: the actor of one loaded model, a state machine; ``turn_desk.py``:
its queue and running turns; ``first_cells.py``, ``context_cells.py``: what they begin with. ``host.py``:
the one thread that computes; ``loop.py``: continuous batching over one context; ``plan.py``: what the next
step computes, pure; ``plan_parts.py``: in which calls; ``batch.py``: its columns; ``lending.py``: rows
beside; ``cells.py``: cells into sequences and out; ``turn_text.py``: a turn's text between two reports;
``step_probe.py``: where a step is, for who measures. ``canary.py``, ``verdict.py``: what can be promised.
``cache_actor.py``, ``cache_jobs.py``: what was saved; ``prefetcher.py``: before it is asked for.
``text.py``: from token bytes to safe text. ``delivery.py``, ``stream.py``: the way of text to its reader.
``request.py``, ``result.py``: what goes in and comes out. ``chat_template.py``: messages to text.
``pressure_actor.py`` looks at memory and asks for it as ``pressure_plan.py`` says; ``parking.py`` puts idle
contexts aside; ``fit_check.py`` refuses what will not fit.

**Who owns it and what always holds.** The model actor owns queue and slots; the host thread owns the
loop and the context. Between them go frozen values: commands down, reports up. A sequence is leased
to one turn at a time. A turn ends exactly once, with a result or a typed error. Nothing here waits
on the event loop for the engine, or on the engine for the event loop.

**What it may import.** ``actors``, ``native``, ``kvcache``, ``telemetry`` and below. Not HTTP, not terminals.

**Why this way, and what we refused.** A thread per model would be simpler and, on CPU, slower for
everyone (see ``host.py``). A lock around the context would make turns wait for each other; here
they share steps. Text goes to readers by credit, so that a slow reader costs nobody else anything.

**Read next.** ``model_actor.py``, then ``loop.py`` and ``plan.py``.
"""

from __future__ import annotations

from actorllama.engine.cache_actor import CacheActor
from actorllama.engine.cache_messages import (
    FindSnapshot,
    KeepCells,
    ReadCacheStatistics,
)
from actorllama.engine.canary import CanaryReport, Check, Exactness, level_of, run_canary
from actorllama.engine.chat_template import ChatTemplate, Message, messages_from
from actorllama.engine.commands import RestoredState
from actorllama.engine.events import EVENTS
from actorllama.engine.gauge_board import GaugeBoard, down
from actorllama.engine.gauges import ModelGauges, ModelPhase, TurnCounts
from actorllama.engine.host import EngineHost
from actorllama.engine.host_actor import GetHost, HostActor
from actorllama.engine.lineage import plain
from actorllama.engine.memory_messages import WhyGone
from actorllama.engine.messages import (
    CancelTake,
    Describe,
    ModelInfo,
    ModelStatus,
    TakeTurn,
    Unload,
    WaitReady,
)
from actorllama.engine.model_actor import ModelActor
from actorllama.engine.model_state import ModelState
from actorllama.engine.namespace import salted
from actorllama.engine.observe_options import ObserveOptions
from actorllama.engine.options import EngineOptions
from actorllama.engine.pressure_actor import PressureActor
from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_view import DomainView, ShowPressure
from actorllama.engine.reports import FinishReason, LoopStatistics, TokenLogprob
from actorllama.engine.request import TurnRequest, check_request
from actorllama.engine.result import Timings, TurnResult, Usage
from actorllama.engine.spec import ModelSpec
from actorllama.engine.step_probe import STEP_PARTS, StepPart, StepProbe, no_probe
from actorllama.engine.stream import TextPiece, TurnStream
from actorllama.engine.turn_record import TurnRecord
from actorllama.engine.verdict import Verdict

__all__ = [
    "EVENTS",
    "STEP_PARTS",
    "CacheActor",
    "CanaryReport",
    "CancelTake",
    "ChatTemplate",
    "Check",
    "Describe",
    "DomainView",
    "EngineHost",
    "EngineOptions",
    "Exactness",
    "FindSnapshot",
    "FinishReason",
    "GaugeBoard",
    "GetHost",
    "HostActor",
    "KeepCells",
    "LoopStatistics",
    "Message",
    "ModelActor",
    "ModelGauges",
    "ModelInfo",
    "ModelPhase",
    "ModelSpec",
    "ModelState",
    "ModelStatus",
    "ObserveOptions",
    "PressureActor",
    "PressureOptions",
    "ReadCacheStatistics",
    "RestoredState",
    "ShowPressure",
    "StepPart",
    "StepProbe",
    "TakeTurn",
    "TextPiece",
    "Timings",
    "TokenLogprob",
    "TurnCounts",
    "TurnRecord",
    "TurnRequest",
    "TurnResult",
    "TurnStream",
    "Unload",
    "Usage",
    "Verdict",
    "WaitReady",
    "WhyGone",
    "check_request",
    "down",
    "level_of",
    "messages_from",
    "no_probe",
    "plain",
    "run_canary",
    "salted",
]
