"""The lines that end each command's help; the tests run them."""

from __future__ import annotations

__all__ = ["examples", "examples_in"]

_HEADING = "Examples:"


def examples(*lines: str) -> str:
    r"""Write the end of a help text, kept as it is by click's ``\b``."""
    return "\n".join(["\b", _HEADING, *(f"  {line}" for line in lines)])


def examples_in(epilog: str) -> tuple[str, ...]:
    """Give the command lines back."""
    _, _, block = epilog.partition(_HEADING)
    return tuple(line.strip() for line in block.splitlines() if line.strip())
