"""The state machine: a server whose answer to an event depends on its state (gen_statem)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Generic, TypeVar, cast

import trio

from actorllama.actors.actor import Actor
from actorllama.actors.agenda import Agenda, Due, Pending
from actorllama.actors.context import Context
from actorllama.actors.diagram import Arrow, check_arrow, draw, label
from actorllama.actors.mailbox import CALL, CAST
from actorllama.actors.outcomes import Halt, Refuse, Stop
from actorllama.actors.reply import Caller
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
from actorllama.errors import BadReturn

__all__ = ["StateMachine"]

StateT = TypeVar("StateT")
EventT = TypeVar("EventT")

_CAST = Source(kind="cast")
_INFO = Source(kind="info")
_INTERNAL = Source(kind="internal")
_N_PER_STEP: Final = 16


class StateMachine(Actor, Generic[StateT, EventT]):
    """A gen_statem: one handler for every event in every state; a `Transition` says what comes next.

    ``StateT`` is an enum or a union of frozen classes, ``EventT`` the union of all messages and timeout
    events. One transition goes in this order: the actions from left to right, with replies sent at once;
    ``handle_enter`` if the state changed; a postponed event is put aside; on a change the state timeout is
    cancelled and the postponed events come back, oldest first; `NextEvent` events go before all of them;
    timeouts are set, those of zero after all these and before anything from the mailbox.

    Attributes:
        transitions: The changes of state that are allowed; any other crashes the machine. Empty: all.
        state_enter: Whether ``handle_enter`` is called, at the beginning and at each change of state.
    """

    transitions: ClassVar[tuple[Arrow, ...]] = ()
    state_enter: ClassVar[bool] = False
    ready_types: ClassVar[tuple[type, ...]] = (Begin,)

    _table: ClassVar[frozenset[tuple[str, str, str]]] = frozenset()
    _agenda: Agenda[StateT]

    def __init_subclass__(cls) -> None:
        """Index the table of the class once."""
        super().__init_subclass__()
        cls._table = frozenset(
            (label(arrow.source), label(arrow.event), label(arrow.target)) for arrow in cls.transitions
        )

    @classmethod
    def diagram(cls) -> str:
        """Draw the table as mermaid text."""
        return draw(cls.transitions)

    async def init(self, ctx: Context) -> MachineInit[StateT]:
        """Make the data and name the first state."""
        return Refuse(f"{type(self).__name__} has no init")

    async def handle_event(self, state: StateT, event: EventT, source: Source) -> MachineOutcome[StateT]:
        """Take one event in one state."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_event and got {event!r}")

    async def handle_enter(self, old_state: StateT, state: StateT) -> Sequence[EnterAction]:
        """Enter a state; may reply and set timeouts, nothing else. At the beginning both are the same."""
        return ()

    # -- the kernel's side ---------------------------------------------------------------------

    @property
    def state(self) -> StateT:
        """The present state."""
        return self._agenda.state

    async def start_up(self, ready: object) -> Halt | None:
        """Enter the first state and do the actions of ``init``."""
        begin = cast("Begin[StateT]", ready)
        self._agenda = Agenda(self.ctx.process, begin.state)
        await self._finish(begin.actions, old_state=begin.state, is_entered=True, is_changed=False)
        return await self._drain()

    async def dispatch(self, kind: int, message: object, caller: Caller | None) -> Halt | None:
        """Handle one message and all that becomes pending by it."""
        if isinstance(message, Due):
            self._agenda.pending.append(message)
        elif kind == CALL:
            self._agenda.pending.append(Pending(message, Source(kind="call", caller=caller)))
        else:
            self._agenda.pending.append(Pending(message, _CAST if kind == CAST else _INFO))
        return await self._drain()

    async def _drain(self) -> Halt | None:
        agenda = self._agenda
        n_in_step = 0
        while agenda.pending:
            item = agenda.pending.popleft()
            if not isinstance(item, Due):
                agenda.cancel_event_timeout()
            elif not agenda.take(item):
                continue
            halt = await self._handle(item.event, item.source)
            if halt is not None:
                return halt
            n_in_step += 1
            if n_in_step % _N_PER_STEP == 0:
                await trio.lowlevel.checkpoint()
        return None

    async def _handle(self, event: object, source: Source) -> Halt | None:
        agenda = self._agenda
        old_state = agenda.state
        outcome = await self.handle_event(old_state, cast("EventT", event), source)
        match outcome:
            case Transition(next_state, actions=actions):
                is_changed = next_state != old_state
                if is_changed:
                    check_arrow(self._table, type(self).__name__, Arrow(old_state, event, next_state))
                    agenda.state = next_state
                is_entered = is_changed
            case Keep(actions=actions):
                is_changed = is_entered = False
            case Repeat(actions=actions):
                is_changed, is_entered = False, True
            case Stop(reason):
                return Halt(reason)
            case StopAndReply(reason, replies):
                for reply in replies:
                    _send(reply)
                return Halt(reason)
            case _:
                raise BadReturn(callback=f"{type(self).__name__}.handle_event", value=outcome)
        if any(isinstance(action, PostPone) for action in actions):
            agenda.postponed.append(Pending(event, source))
            self._trace("postpone", event)
        await self._finish(actions, old_state=old_state, is_entered=is_entered, is_changed=is_changed)
        return None

    async def _finish(
        self, actions: Sequence[Action], *, old_state: StateT, is_entered: bool, is_changed: bool
    ) -> None:
        agenda = self._agenda
        for action in actions:
            if isinstance(action, ReplyTo):
                _send(action)
        todo: list[Action] = list(actions)
        if is_entered and self.state_enter:
            self._trace("enter", agenda.state)
            todo.extend(self._checked(await self.handle_enter(old_state, agenda.state)))
        if is_changed:
            agenda.cancel_state_timeout()
            agenda.replay_postponed()
        inserted = [Pending(action.event, _INTERNAL) for action in todo if isinstance(action, NextEvent)]
        agenda.pending.extendleft(reversed(inserted))
        for action in todo:
            if isinstance(action, StateTimeout | NamedTimeout | EventTimeout):
                agenda.set_timeout(action)
            elif isinstance(action, CancelTimeout):
                agenda.cancel_timeout(action)

    def _trace(self, what: str, message: object) -> None:
        tracer = self.ctx.process.tracer
        if tracer is not None:
            tracer(what, message)

    def _checked(self, actions: Sequence[EnterAction]) -> Sequence[EnterAction]:
        for action in actions:
            if isinstance(cast("Action", action), PostPone | NextEvent):
                raise BadReturn(callback=f"{type(self).__name__}.handle_enter", value=action)
            if isinstance(action, ReplyTo):
                _send(action)
        return actions

    # -- introspection -------------------------------------------------------------------------

    def get_state(self) -> object:
        """Show the state and the data: a pair."""
        return (self._agenda.state, super().get_state())

    def set_state(self, state: object) -> None:
        """Take a pair of state and data."""
        if not (isinstance(state, tuple) and len(cast("tuple[object, ...]", state)) == 2):
            raise TypeError(f"the state of {type(self).__name__} is a pair of state and data, not {state!r}")
        new_state, data = cast("tuple[StateT, object]", state)
        super().set_state(data)
        self._agenda.state = new_state

    def describe_state(self) -> str:
        """Name the state."""
        agenda = getattr(self, "_agenda", None)
        return "" if agenda is None else label(agenda.state)


def _send(reply: ReplyTo) -> None:
    if reply.caller is not None:
        reply.caller.reply(reply.value)
