"""Erlang/OTP on trio: actors with mailboxes, supervised, that crash and are rebuilt.

**What lives here.** An *actor* is one trio task that handles one message after the other; nobody else
touches its state. `Server` (gen_server) answers calls, casts and notices; `StateMachine` (gen_statem)
does so depending on its state, with postponing and timeouts; `Supervisor` and `DynamicSupervisor` start,
restart and stop children. `open_system` opens the world they live in; `System.start` starts one and gives
its `Ref`, which is all that others hold of it: ``call`` waits for a reply, ``cast`` does not, ``info_nowait``
is never refused. `Context` is what an actor may do as itself: monitor, link, start, set timers, own native
resources. `Registry`, `Via` and `Groups` find actors; ``get_state`` and its neighbours look into them,
``system.tree()`` shows them all. `ExitReason` says why one ended: `Normal`, `Shutdown`, `Killed`, `Crash`,
and `NoProcess` for what never was::

    @frozen
    class Get(Call[int]): ...

    @frozen
    class Add:
        n: int

    class Counter(Server[Get, Add, Down]):
        async def init(self, ctx: Context) -> InitOutcome:
            self.n = 0
            return Ready()

        async def handle_call(self, message: Get, caller: Caller) -> Outcome:
            return Reply(self.n)

        async def handle_cast(self, message: Add) -> Outcome:
            self.n += message.n
            return NoReply()

    async with open_system() as system:
        spec = ChildSpec(id="counter", name="counter", start=Counter)
        await system.start(lambda: Supervisor(children=(spec,)))
        counter = system.via("counter")
        await counter.cast(Add(2))
        assert await counter.call(Get()) == 2

**Who owns it and what always holds.** The ``async with open_system()`` block owns the system; the system
owns one flat nursery with one task per actor. A callback's exception ends its actor and nobody else. An
actor is dead for everybody from one moment on: its names are free, then its callers know why, then its
monitors, links and parent; its task, or a thread that it used, may still unwind. A call ends: by a reply,
by the callee's death, by its deadline, or by cancellation. Messages of one sender keep their order, notices
of a death among them. A supervisor stops its children one by one, last first, each within its grace, also
when the whole system is cancelled from outside. A native resource is freed once, after the last call on it.

**What it may import.** The standard library, trio, attrs, ``actorllama.errors`` and
``actorllama.telemetry``. It knows nothing of tokens, models or caches: it could be a package of its own.

**Why this way, and what we refused.** The rules are OTP's (erlang/otp ``lib/stdlib``: gen_server,
gen_statem, supervisor, sys, pg; Elixir's Registry and DynamicSupervisor), held to what a real OTP did by
``tests/actors/test_otp_*.py``. Departures are listed in ``docs/semantics.md``, each with its reason. The
large ones: mailboxes are bounded, a parent's shutdown always runs ``terminate``, a reply slot takes one
reply, restarts may be backed off. We refused nurseries as supervision (a nursery cancels all children at
once and cannot restart one), memory channels as mailboxes (no second lane, no wait inside a call's own
deadline), a cancel scope per call (5 us), context variables and global registries, pickled or distributed
actors, hot code loading and hibernation.

**Read next.** ``server.py`` and ``outcomes.py`` for writing actors, ``ref.py`` for talking to them;
``process.py`` and ``loop.py`` for how one lives and dies; ``restart.py`` and ``overseer.py`` for supervision;
``docs/semantics.md`` for what is promised and what is not.
"""

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
