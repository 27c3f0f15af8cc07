"""The base of everything that lives in a process."""

from __future__ import annotations

from typing import ClassVar, cast

from actorllama.actors.context import Context
from actorllama.actors.events import INFO_UNHANDLED
from actorllama.actors.outcomes import Halt, Ready
from actorllama.actors.reason import ExitReason
from actorllama.actors.reply import Caller

__all__ = ["Actor"]

_KERNEL_NAMES = frozenset({"ctx", "_idle_timer", "_agenda"})


class Actor:
    """A sequential life: ``init``, then one message at a time, then ``terminate``.

    Subclass `Server`, `StateMachine` or `Supervisor`, not this. ``__init__`` takes arguments only; state
    is made in ``init``, in the actor's own task, so that a restart begins with nothing.

    Attributes:
        trap_exits: Exit signals of linked actors arrive in ``handle_info`` as `Exit` instead of ending
            this actor. The parent's shutdown needs no trapping: ``terminate`` always runs on it.
        is_supervisor: Whether it looks after children by a strategy.
        ctx: This actor's side of the kernel; set before ``init`` runs.
        ready_types: What ``init`` may return when it succeeds.
    """

    trap_exits: ClassVar[bool] = False
    is_supervisor: ClassVar[bool] = False
    ready_types: ClassVar[tuple[type, ...]] = (Ready,)

    ctx: Context

    async def init(self, ctx: Context) -> object:
        """Make the state; the starter waits for it. Slow work belongs into a continuation."""
        return Ready()

    async def start_up(self, ready: object) -> Halt | None:
        """Do what precedes the first message, after the starter has its ``Ref``."""
        return None

    async def dispatch(self, kind: int, message: object, caller: Caller | None) -> Halt | None:
        """Handle one message; a `Halt` ends the life."""
        raise NotImplementedError

    async def terminate(self, reason: ExitReason) -> None:
        """Give back what the actor holds. Runs after every end but a kill or an exit signal."""

    def get_state(self) -> object:
        """Show the state to ``introspection.get_state``: by default, the attributes."""
        return {name: value for name, value in vars(self).items() if name not in _KERNEL_NAMES}

    def set_state(self, state: object) -> None:
        """Take a state from ``introspection.replace_state``."""
        if not isinstance(state, dict):
            raise TypeError(f"the state of {type(self).__name__} is a dict of its attributes, not {state!r}")
        attributes = vars(self)
        for name in [name for name in attributes if name not in _KERNEL_NAMES]:
            del attributes[name]
        attributes.update(cast("dict[str, object]", state))

    def describe_state(self) -> str:
        """Name the state in one word for ``system.tree()``; empty if there is nothing to say."""
        return ""

    def tell_unhandled(self, message: object) -> None:
        """Tell an event about a message that nobody here expected."""
        self.ctx.bus.execute(
            INFO_UNHANDLED,
            {},
            {"pid": self.ctx.ref.pid, "actor": self.ctx.ref.name, "message": type(message).__name__},
        )
