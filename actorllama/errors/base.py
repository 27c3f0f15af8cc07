"""The root of the tree, and the errors of settings and requests."""

from __future__ import annotations

__all__ = ["ActorLlamaError", "ConfigError", "RequestError", "short"]


def short(value: object) -> str:
    """Show a value in one line that fits a terminal."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes down
        text = f"<{type(value).__name__} too long to show>"
    return text if len(text) <= 80 else text[:77] + "..."


class ActorLlamaError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(ActorLlamaError, ValueError):
    """A setting is unknown, unparsable or out of bounds."""

    def __init__(self, *, field: str, value: object, source: str, hint: str = "") -> None:
        """Name the field, the value and where it came from."""
        self.field = field
        self.value = value
        self.source = source
        advice = hint or "See config/default.toml for the known fields and their bounds."
        super().__init__(f"{field} = {value!r} (from {source}) is not usable. {advice}")


class RequestError(ActorLlamaError, ValueError):
    """A parameter of one request is not usable; the next request is not affected."""

    def __init__(self, *, field: str, value: object, reason: str) -> None:
        """Name the parameter, its value and the bound that it breaks."""
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{field} = {short(value)}: {reason}")
