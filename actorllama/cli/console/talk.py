"""One conversation as a value: what was said, how to say it again, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from actorllama.errors import RequestError

__all__ = ["Exchange", "Setting", "Speaker", "Talk"]

Setting: TypeAlias = int | float
_N_SEEDS: Final = 1 << 32


@frozen(kw_only=True)
class Speaker:
    """The model that answers, and how it was loaded."""

    name: str
    path: str
    options: Mapping[str, object] = field(factory=dict[str, object])
    """What of its context shapes a saved turn."""


@frozen(kw_only=True)
class Exchange:
    """A message and its reply."""

    user: str
    reply: str
    seed: int
    resume_key: str | None = None
    """Names the saved turn; ``None`` for a reply that was stopped: it is computed again when it is needed."""
    is_cut: bool = False
    """Whether Ctrl-C or an error ended the reply."""


@frozen(kw_only=True)
class Talk:
    """A conversation. ``name`` is what the user calls it, here and on disk."""

    name: str
    speaker: Speaker
    system: str = ""
    settings: Mapping[str, Setting] = field(factory=dict[str, Setting])
    exchanges: tuple[Exchange, ...] = ()
    pending: str | None = None
    """A message whose reply has begun and not ended: after a kill, all that is missing."""
    is_saved: bool = False
    """Whether it has a file of its own, which follows every turn."""
    head: str | None = field(default=None, eq=False)
    """The state of that file which this conversation goes on from; ``None`` if it never had one."""

    @property
    def messages(self) -> list[dict[str, str]]:
        """Everything said, without the system prompt, as the runtime takes it."""
        said: list[dict[str, str]] = []
        for one in self.exchanges:
            said.append({"role": "user", "content": one.user})
            said.append({"role": "assistant", "content": one.reply})
        return said

    @property
    def resume_key(self) -> str | None:
        """Name the saved state after the last reply, if there is one."""
        return self.exchanges[-1].resume_key if self.exchanges else None

    def asking(self, text: str) -> Talk:
        """Begin a turn."""
        return evolve(self, pending=text)

    def answered(self, exchange: Exchange) -> Talk:
        """End a turn."""
        return evolve(self, exchanges=(*self.exchanges, exchange), pending=None)

    def unanswered(self) -> Talk:
        """End a turn that brought nothing."""
        return evolve(self, pending=None)

    def has_all_of(self, other: Talk) -> bool:
        """Tell whether nothing was said in another one that was not said here."""
        return self.exchanges[: len(other.exchanges)] == other.exchanges and other.pending in (
            None,
            self.pending,
            *(one.user for one in self.exchanges[len(other.exchanges) :][:1]),
        )

    def undone(self) -> Talk:
        """Forget the last exchange, or the message that was never answered.

        Raises:
            RequestError: Nothing was said.
        """
        if self.pending is not None:
            return self.unanswered()
        self._last("undo")
        return evolve(self, exchanges=self.exchanges[:-1])

    def again(self, seed: int | None) -> tuple[Talk, str, int]:
        """Go back before the last reply.

        Args:
            seed: For the new reply; ``None``: the one after that of the last reply.

        Returns:
            The conversation as it was, the message to answer, and the seed.

        Raises:
            RequestError: Nothing was said.
        """
        if self.pending is not None:
            first = int(self.settings.get("seed", 0)) if seed is None else seed
            return self.unanswered(), self.pending, first
        last = self._last("regen")
        return self.undone(), last.user, (last.seed + 1) % _N_SEEDS if seed is None else seed

    def forked(self, name: str) -> Talk:
        """Begin another conversation with the same past."""
        return evolve(self, name=name, pending=None, is_saved=False, head=None)

    def _last(self, operation: str) -> Exchange:
        if not self.exchanges:
            raise RequestError(field=f"/{operation}", value=self.name, reason="nothing was said yet")
        return self.exchanges[-1]
