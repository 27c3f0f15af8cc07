"""All that a running console has, in one place with one owner."""

from __future__ import annotations

import trio
from attrs import define, evolve, field

from actorllama.cli.console.event_feed import EventFeed
from actorllama.cli.console.front import Front
from actorllama.cli.console.python_shell import PythonShell
from actorllama.cli.console.session import Session, free_name
from actorllama.cli.console.speakers import load_speaker
from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Talk
from actorllama.cli.failures import EXIT_FAILED, describe, exit_code_of
from actorllama.cli.interrupts import Interrupts
from actorllama.engine import TurnResult
from actorllama.errors import ActorLlamaError, ConversationChanged, ModelNotLoaded
from actorllama.runtime import Model, Runtime

__all__ = ["Desk"]


@define(kw_only=True, eq=False)
class Desk:
    """What the commands work on.

    Owner: the console's one task. The prompt's thread reads it for completion and the status bar, one
    attribute at a time; each is replaced whole.
    """

    runtime: Runtime
    front: Front
    interrupts: Interrupts
    store: Store
    session: Session
    feed: EventFeed
    saves_all: bool
    """Whether every conversation gets a file with its first turn, and not only those that were saved."""
    last: TurnResult | None = None
    """Of the turn that ended last, for the status bar."""
    is_leaving: bool = False
    python: PythonShell = field(factory=PythonShell)
    """What ``/py`` runs in; names that the user binds stay."""
    worst_code: int = 0
    unloaded: frozenset[str] = frozenset()
    """Models that somebody unloaded here, and did not load again."""

    @property
    def talk(self) -> Talk:
        """The conversation that is spoken to."""
        return self.session.talk

    @property
    def model(self) -> Model:
        """The model of that conversation.

        Raises:
            ModelNotLoaded: It was unloaded.
        """
        return self.runtime.model(self.talk.speaker.name)

    async def answering(self) -> Model:
        """Give the model of that conversation; load it again if a supervisor above it lost it in healing.

        Raises:
            ModelNotLoaded: Somebody unloaded it.
            ModelLoadError: Its file cannot be used any more.
        """
        try:
            return self.model
        except ModelNotLoaded:
            if self.talk.speaker.name in self.unloaded:
                raise
        self.front.note(f"({self.talk.speaker.name} went down with what it stood on: it is loaded again)")
        await load_speaker(self.runtime, self.talk.speaker)
        return self.model

    async def keep(self, talk: Talk) -> None:
        """Put a conversation in the place of the current one, and on disk where it has a file.

        Raises:
            ConversationChanged: Somebody else has written that file; the console keeps this one, without it.
            OSError: The directory cannot be written; the console has the conversation nevertheless.
        """
        self.session = self.session.renamed(self.session.current, talk)
        if talk.is_saved or talk.head is not None:
            try:
                saved = await trio.to_thread.run_sync(self.store.write, talk)
            except ConversationChanged:
                self.session = self.session.renamed(talk.name, evolve(talk, is_saved=False))
                raise
        elif self.saves_all and (talk.exchanges or talk.pending is not None):
            new = talk
            while (written := await trio.to_thread.run_sync(self.store.write_new, new)) is None:
                new = evolve(new, name=await self.free_name())  # another console took the name
            saved = written
        else:
            return
        self.session = self.session.renamed(talk.name, saved)

    def complain(self, error: Exception) -> None:
        """Tell an error and go on; a script learns of it by the exit code."""
        self.front.note(f"actorllama: {describe(error)}")
        if not self.front.is_terminal:
            code = exit_code_of(error) if isinstance(error, ActorLlamaError) else EXIT_FAILED
            self.worst_code = max(self.worst_code, code)

    async def free_name(self) -> str:
        """Find a name that no conversation has, here or on disk."""
        saved = await trio.to_thread.run_sync(self.store.names)
        return free_name({*saved, *self.session.names})
