"""From an exception to one line and an exit code."""

from __future__ import annotations

from typing import Final, cast

from actorllama.errors import (
    ActorLlamaError,
    ChatTemplateError,
    ConfigError,
    ContextFull,
    ConversationChanged,
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    RequestError,
)

__all__ = [
    "EXIT_BROKEN_PIPE",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_UNUSABLE",
    "describe",
    "exit_code_of",
    "leaf_of",
    "one_line",
]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_UNUSABLE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE

_USERS_FAULT: Final = (
    ChatTemplateError,
    ConfigError,
    ContextFull,
    ConversationChanged,
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    RequestError,
)
_MAX_CHARS: Final = 2000


def exit_code_of(error: BaseException) -> int:
    """Say whether other input would help (2) or not (1)."""
    return EXIT_UNUSABLE if isinstance(error, _USERS_FAULT) else EXIT_FAILED


def describe(error: BaseException) -> str:
    """Tell an error in one line; what we did not raise on purpose is named for what it is."""
    if isinstance(error, ActorLlamaError):
        return one_line(str(error))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return one_line(f"{where}{error.strerror}")
    kind = type(error).__name__
    return one_line(f"internal error: {kind}: {error} (--log-level debug shows where)")


def leaf_of(error: BaseException) -> BaseException:
    """Give the first plain exception inside a group; a nursery wraps what its tasks raise.

    An unusable input among them wins: it is what the user can change.
    """
    leaves = _leaves(error)
    return next((leaf for leaf in leaves if exit_code_of(leaf) == EXIT_UNUSABLE), leaves[0])


def one_line(text: str) -> str:
    """Make one printable line of any text."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())
    if len(line) <= _MAX_CHARS:
        return line
    return f"{line[: _MAX_CHARS // 2]} ... {line[-_MAX_CHARS // 2 :]}"  # names come first, reasons last


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for one in group.exceptions for leaf in _leaves(one)]
    return [error]
