"""What a line asks for: to say something, or to do something."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

__all__ = ["Asked", "Do", "Say", "parse"]


@frozen(kw_only=True)
class Say:
    """Say this to the model."""

    text: str


@frozen(kw_only=True)
class Do:
    """Do what a command does; ``name`` without its slash, ``rest`` without the blanks around it."""

    name: str
    rest: str


Asked: TypeAlias = Say | Do | None
"""``None``: an empty line asks for nothing."""


def parse(line: str) -> Asked:
    """Decide what a line asks for.

    A slash begins a command, two slashes a message that begins with one.
    """
    text = line.strip()
    if not text:
        return None
    if text.startswith("//"):
        return Say(text=text[1:])
    if not text.startswith("/"):
        return Say(text=text)
    parts = text[1:].split(maxsplit=1)
    if not parts:
        return Do(name="", rest="")
    return Do(name=parts[0], rest=parts[1] if len(parts) == 2 else "")
