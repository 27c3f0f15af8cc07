"""What a chat remembers, and what its commands do: values only."""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

__all__ = ["COMMANDS_HELP", "Conversation", "Quit", "Say", "Step", "Tell", "decide"]

COMMANDS_HELP: Final = """\
/help          this list
/system TEXT   begin a new conversation with these instructions
/new           forget what was said
/quit          leave (or Ctrl-D)
Ctrl-C stops a reply and keeps what was said; at the prompt it leaves."""


@frozen(kw_only=True)
class Conversation:
    """What was said so far."""

    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    """What the user said, and the reply."""

    def messages_with(self, text: str) -> list[dict[str, str]]:
        """Give all messages, and a new one of the user."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for user, assistant in self.turns:
            messages.append({"role": "user", "content": user})
            messages.append({"role": "assistant", "content": assistant})
        return [*messages, {"role": "user", "content": text}]

    def after(self, text: str, reply: str) -> Conversation:
        """Remember a turn."""
        return evolve(self, turns=(*self.turns, (text, reply)))


@frozen(kw_only=True)
class Say:
    """Take a turn with this text."""

    text: str


@frozen(kw_only=True)
class Tell:
    """Show a notice and go on with this conversation."""

    notice: str
    conversation: Conversation


@frozen(kw_only=True)
class Quit:
    """Leave."""


Step = Say | Tell | Quit | None


def decide(line: str, conversation: Conversation) -> Step:
    """Decide what a line asks for; ``None`` for an empty one."""
    text = line.strip()
    if not text:
        return None
    if not text.startswith("/"):
        return Say(text=text)
    command, _, rest = text.partition(" ")
    match command:
        case "/quit" | "/exit":
            return Quit()
        case "/help":
            return Tell(notice=COMMANDS_HELP, conversation=conversation)
        case "/new":
            return Tell(notice="(a new conversation)", conversation=evolve(conversation, turns=()))
        case "/system":
            fresh = Conversation(system=rest.strip())
            return Tell(notice="(a new conversation with these instructions)", conversation=fresh)
        case _:
            return Tell(notice=f"{command} is no command; /help lists them", conversation=conversation)
