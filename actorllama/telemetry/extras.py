"""What needs a library that is not installed with the package."""

from __future__ import annotations

from importlib import import_module

from actorllama.errors import ConfigError

__all__ = ["need_extra"]


def need_extra(extra: str, module: str) -> None:
    """Insist that an optional library is there.

    Args:
        extra: The extra of the package that brings it.
        module: A module of it.

    Raises:
        ConfigError: It is not; the message has the command that installs it.
    """
    try:
        import_module(module)
    except ImportError as exc:
        raise ConfigError(
            field=f"the {extra} handler",
            value=module,
            source=str(exc),
            hint=f"Run: pip install 'actorllama[{extra}]'",
        ) from exc
