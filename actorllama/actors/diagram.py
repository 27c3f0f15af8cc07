"""The table of a state machine: what may change, and how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from actorllama.errors import BadTransition

__all__ = ["Arrow", "check_arrow", "draw", "label"]


@frozen
class Arrow:
    """One allowed change of state.

    Source and target are states, or classes of states; the event is its class. Strings name them, too.
    """

    source: object
    event: object
    target: object

    def __str__(self) -> str:
        """Write the change as mermaid does."""
        return f"{label(self.source)} --> {label(self.target)}: {label(self.event)}"


def label(value: object) -> str:
    """Name a state or an event: an enum member by its name, a string by itself, the rest by class."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return value
    return (value if isinstance(value, type) else type(value)).__name__


def check_arrow(table: frozenset[tuple[str, str, str]], machine: str, change: Arrow) -> None:
    """Refuse a change that the table does not list; an empty table allows everything.

    Raises:
        BadTransition: It is not listed.
    """
    key = (label(change.source), label(change.event), label(change.target))
    if table and key not in table:
        raise BadTransition(machine=machine, source=key[0], event=key[1], target=key[2])


def draw(arrows: Sequence[Arrow]) -> str:
    """Draw the table as a mermaid state diagram; it begins where the first arrow does."""
    lines = ["stateDiagram-v2"]
    if arrows:
        lines.append(f"    [*] --> {label(arrows[0].source)}")
    lines.extend(f"    {arrow}" for arrow in arrows)
    return "\n".join(lines) + "\n"
