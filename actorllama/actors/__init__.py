"""Erlang/OTP on trio (docstring to come)."""

from __future__ import annotations

from actorllama.actors.actor import Actor
from actorllama.actors.call import Call
from actorllama.actors.children import (
    ChildCounts,
    ChildInfo,
    count_children,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from actorllama.actors.context import Context
from actorllama.actors.diagram import Arrow
from actorllama.actors.dynamic import DynamicSupervisor
from actorllama.actors.events import EVENTS
from actorllama.actors.machine import StateMachine
from actorllama.actors.notice import Down, Exit, Monitor
from actorllama.actors.outcomes import (
    IdleTimeout,
    Ignore,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Refuse,
    Reply,
    Stop,
    StopReply,
)
from actorllama.actors.reaper import NativeRunner, Owned, run_in_thread
from actorllama.actors.reason import (
    ActorExit,
    Crash,
    ExitReason,
    Killed,
    NoProcess,
    Normal,
    Shutdown,
    is_normal,
)
from actorllama.actors.ref import Ref
from actorllama.actors.registry import Entry, Registry
from actorllama.actors.reply import Caller
from actorllama.actors.restart import Backoff, RestartDecision, decide_restart
from actorllama.actors.server import Server
from actorllama.actors.spec import ChildSpec
from actorllama.actors.supervisor import Supervisor
from actorllama.actors.system import System, open_system
from actorllama.actors.timers import Timer
from actorllama.actors.transition import (
    Begin,
    CancelTimeout,
    EventTimeout,
    Keep,
    MachineInit,
    MachineOutcome,
    NamedTimeout,
    NextEvent,
    PostPone,
    Repeat,
    ReplyTo,
    Source,
    StateTimeout,
    StopAndReply,
    Transition,
)

__all__ = [
    "EVENTS",
    "Actor",
    "ActorExit",
    "Arrow",
    "Backoff",
    "Begin",
    "Call",
    "Caller",
    "CancelTimeout",
    "ChildCounts",
    "ChildInfo",
    "ChildSpec",
    "Context",
    "Crash",
    "Down",
    "DynamicSupervisor",
    "Entry",
    "EventTimeout",
    "Exit",
    "ExitReason",
    "IdleTimeout",
    "Ignore",
    "InitOutcome",
    "Keep",
    "Killed",
    "MachineInit",
    "MachineOutcome",
    "Monitor",
    "NamedTimeout",
    "NativeRunner",
    "NextEvent",
    "NoProcess",
    "NoReply",
    "Normal",
    "Outcome",
    "Owned",
    "PostPone",
    "Ready",
    "Ref",
    "Refuse",
    "Registry",
    "Repeat",
    "Reply",
    "ReplyTo",
    "RestartDecision",
    "Server",
    "Shutdown",
    "Source",
    "StateMachine",
    "StateTimeout",
    "Stop",
    "StopAndReply",
    "StopReply",
    "Supervisor",
    "System",
    "Timer",
    "Transition",
    "count_children",
    "decide_restart",
    "delete_child",
    "is_normal",
    "open_system",
    "restart_child",
    "run_in_thread",
    "start_child",
    "terminate_child",
    "which_children",
]
