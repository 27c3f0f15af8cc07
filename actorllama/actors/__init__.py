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
from actorllama.actors.debug import DONE, Hook, SysEvent
from actorllama.actors.diagram import Arrow
from actorllama.actors.dynamic import DynamicSupervisor
from actorllama.actors.events import EVENTS
from actorllama.actors.groups import Groups
from actorllama.actors.introspection import (
    Statistics,
    Status,
    get_log,
    get_state,
    get_status,
    install_hook,
    keep_log,
    remove_hook,
    replace_state,
    resume,
    statistics,
    suspend,
    trace,
)
from actorllama.actors.machine import StateMachine
from actorllama.actors.mailbox import Overflow
from actorllama.actors.notice import Down, Exit, Monitor
from actorllama.actors.opening import open_system
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
from actorllama.actors.registry import Entry, KeyChange, Registry
from actorllama.actors.reply import Caller
from actorllama.actors.restart import Backoff, RestartDecision, Strategy, decide_restart
from actorllama.actors.server import Server
from actorllama.actors.spec import ChildSpec, Restart, ShutdownGrace
from actorllama.actors.supervisor import AutoShutdown, Supervisor
from actorllama.actors.system import System
from actorllama.actors.timers import Timer
from actorllama.actors.transition import (
    Action,
    Begin,
    CancelTimeout,
    EnterAction,
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
from actorllama.actors.tree import TreeNode, format_tree
from actorllama.actors.via import Via

__all__ = [
    "DONE",
    "EVENTS",
    "Action",
    "Actor",
    "ActorExit",
    "Arrow",
    "AutoShutdown",
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
    "EnterAction",
    "Entry",
    "EventTimeout",
    "Exit",
    "ExitReason",
    "Groups",
    "Hook",
    "IdleTimeout",
    "Ignore",
    "InitOutcome",
    "Keep",
    "KeyChange",
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
    "Overflow",
    "Owned",
    "PostPone",
    "Ready",
    "Ref",
    "Refuse",
    "Registry",
    "Repeat",
    "Reply",
    "ReplyTo",
    "Restart",
    "RestartDecision",
    "Server",
    "Shutdown",
    "ShutdownGrace",
    "Source",
    "StateMachine",
    "StateTimeout",
    "Statistics",
    "Status",
    "Stop",
    "StopAndReply",
    "StopReply",
    "Strategy",
    "Supervisor",
    "SysEvent",
    "System",
    "Timer",
    "Transition",
    "TreeNode",
    "Via",
    "count_children",
    "decide_restart",
    "delete_child",
    "format_tree",
    "get_log",
    "get_state",
    "get_status",
    "install_hook",
    "is_normal",
    "keep_log",
    "open_system",
    "remove_hook",
    "replace_state",
    "restart_child",
    "resume",
    "run_in_thread",
    "start_child",
    "statistics",
    "suspend",
    "terminate_child",
    "trace",
    "which_children",
]
