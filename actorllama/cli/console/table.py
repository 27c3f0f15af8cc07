"""What a command is: a name, what it teaches, what completes its argument, and a small function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.cli.console.desk import Desk

__all__ = ["Command", "Group", "Source"]

Source: TypeAlias = Literal[
    "actors", "commands", "events", "keys", "models", "saved", "saved_and_paths", "settings", "talks"
]
"""Where the words come from that complete a command's argument."""
Group: TypeAlias = Literal["Talk", "Keep", "Models", "Look inside", "More"]


@frozen(kw_only=True)
class Command:
    """One command of the console."""

    name: str
    usage: str = ""
    """Its arguments, as the help writes them."""
    group: Group
    summary: str
    """One line."""
    more: str = ""
    """What ``/help NAME`` adds, with an example."""
    completes: Source | None = None
    has_own_scope: bool = False
    """Whether it looks after Ctrl-C itself; else Ctrl-C cancels it."""
    run: Callable[[Desk, str], Awaitable[None]]
    """Does it, with the rest of the line."""
