"""What Tab offers: commands, and for their arguments the words that exist at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from actorllama.actors import EVENTS as ACTOR_EVENTS
from actorllama.cli.console.commands import COMMANDS
from actorllama.cli.console.desk import Desk
from actorllama.cli.console.settings import SETTINGS
from actorllama.cli.console.table import Source
from actorllama.engine import EVENTS as ENGINE_EVENTS

__all__ = ["LineCompleter", "Word", "complete", "words_of"]

Word: TypeAlias = tuple[str, str]
"""A word, and what is told beside it."""
_N_PATHS: Final = 50


def complete(line: str, words: Callable[[Source, str], Iterable[Word]]) -> tuple[str, list[Word]]:
    """Find what can stand where a line ends.

    Args:
        line: Up to the cursor.
        words: Gives the words of a source; the second argument is how they begin, for sources with too many.

    Returns:
        The word that has been begun, and all that can take its place.
    """
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return "", []
    head, blank, rest = line[1:].partition(" ")
    if not blank:
        return head, [word for word in words("commands", head) if word[0].startswith(head)]
    command = COMMANDS.get(head)
    begun = rest.rpartition(" ")[2]
    if command is None or command.completes is None or begun != rest.lstrip():
        return begun, []
    return begun, [word for word in words(command.completes, begun) if word[0].startswith(begun)]


def words_of(desk: Desk, source: Source, begun: str) -> Sequence[Word]:
    """Give the words of a source as they are now. Any thread may call it; it may read directories."""
    match source:
        case "commands":
            return [(one.name, one.summary) for one in COMMANDS.values()]
        case "talks":
            return [(one.name, f"{len(one.exchanges)} turns") for one in desk.session.talks]
        case "saved":
            return [(name, "saved") for name in desk.store.names()]
        case "saved_and_paths":
            return [*words_of(desk, "saved", begun), ("demo", "the embedded model"), *_paths(begun)]
        case "models":
            return [(one.model, one.phase) for one in desk.runtime.gauges()]
        case "actors":
            return [(ref.name, f"#{ref.pid}") for ref in desk.runtime.system.refs()]
        case "settings":
            return [(name, str(default)) for name, default in SETTINGS.items()]
        case "keys":
            exchanges = [one for talk in desk.session.talks for one in talk.exchanges]
            return [(one.resume_key, one.user) for one in exchanges if one.resume_key is not None]
        case "events":
            return [(str(event), event.doc) for event in (*ENGINE_EVENTS, *ACTOR_EVENTS)]


def _paths(begun: str) -> list[Word]:
    folder = Path(begun).expanduser() if begun.endswith("/") else Path(begun).expanduser().parent
    shown = begun[: begun.rfind("/") + 1]
    found: list[Word] = []
    try:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and shown and not path.name.startswith("."):
                found.append((f"{shown}{path.name}/", ""))
            elif path.suffix == ".gguf":
                found.append((f"{shown}{path.name}", "model"))
    except (OSError, ValueError):
        return []
    return found[:_N_PATHS]


class LineCompleter(Completer):
    """Gives prompt_toolkit what `complete` finds."""

    def __init__(self, desk: Desk) -> None:
        """Complete from what this desk has."""
        self._desk = desk

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Offer words."""
        del complete_event
        line = document.text_before_cursor
        begun, words = complete(line, lambda source, start: words_of(self._desk, source, start))
        for word, meta in words:
            yield Completion(word, start_position=-len(begun), display_meta=meta)
