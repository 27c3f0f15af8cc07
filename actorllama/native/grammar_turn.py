"""A grammar in the course of one turn."""

from __future__ import annotations

from actorllama.errors import StateError
from actorllama.native.grammar_machine import Stacks
from actorllama.native.grammar_mask import GrammarMask
from actorllama.native.grammar_trigger import GrammarTrigger
from actorllama.native.sampler_shifts import Ids

__all__ = ["GrammarTurn"]


class GrammarTurn:
    """Say which tokens may come next, and read the ones that came.

    Its whole state follows from the tokens it has read, which it keeps: reading them again rebuilds it.

    A lazy grammar allows everything until its trigger. From then on it must hold, beginning with the
    text that the trigger matched. A match behind which the same token brings what the grammar forbids
    does not count, and waiting goes on. A trigger token is read by the grammar if it can; otherwise
    the grammar begins behind it.

    Owner: one turn's sampler.
    """

    def __init__(self, mask: GrammarMask, trigger: GrammarTrigger | None) -> None:
        """Begin before the first generated token; without a trigger the grammar holds at once."""
        self._mask = mask
        self._machine = mask.machine
        self._trigger = trigger
        self._state: Stacks = mask.machine.initial
        self.generated: list[int] = []
        """The tokens read so far."""

    @property
    def is_waiting(self) -> bool:
        """Whether the trigger is still to come."""
        return self._trigger is not None

    def allows(self, token: int) -> bool:
        """Say whether this token may come next."""
        if self._trigger is not None:
            return True
        if token in self._mask.texts.ends:
            return self._state.accepts
        return self._after(self._state, token) is not self._machine.dead

    def allowed(self) -> Ids:
        """Return the tokens that may come next, ascending.

        None at all means that the vocabulary cannot spell what the grammar wants.
        """
        return self._mask.allowed(self._state)

    def accept(self, token: int) -> None:
        """Read a token; one that ends the generation changes nothing.

        Raises:
            StateError: The grammar does not allow it.
        """
        if token not in self._mask.texts.ends:
            if self._trigger is not None:
                self._wait(self._trigger, token)
            else:
                after = self._after(self._state, token)
                if after is self._machine.dead:
                    raise StateError(operation="accept", reason=f"the grammar does not allow token {token}")
                self._state = after
        self.generated.append(token)

    def _after(self, state: Stacks, token: int) -> Stacks:
        return self._machine.read_token(state, token, self._mask.texts.pieces[token])

    def _wait(self, trigger: GrammarTrigger, token: int) -> None:
        if token in trigger.tokens:
            after = self._after(self._machine.initial, token)
            self._begin(self._machine.initial if after is self._machine.dead else after)
            return
        for text in trigger.feed(self._mask.texts.pieces[token]):
            after = self._machine.read(self._machine.initial, text)
            if after is not self._machine.dead:
                self._begin(after)
                return

    def _begin(self, state: Stacks) -> None:
        self._trigger = None
        self._state = state
