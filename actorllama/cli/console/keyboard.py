"""Lines typed at a terminal: editing, history, several lines, a status bar. Waits off the trio loop."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from actorllama.cli.chat_lines import Leave

__all__ = ["Keyboard"]

_HINT: Final = "Ctrl-D leaves; /help lists the commands"


class Keyboard:
    """One prompt after the other, each in a thread of its own.

    What other threads print meanwhile appears above the prompt.

    Owner: the terminal front.
    """

    def __init__(self, *, history: Path, completer: Completer, status: Callable[[], str]) -> None:
        """Begin with the lines that were typed before.

        Args:
            history: The file of those lines; without it they are forgotten at the end.
            completer: Answers Tab.
            status: Writes the bar, in the prompt's thread.
        """
        self._status = status
        self._hint = ""
        self._n_ctrl_c = 0
        self._is_woken = threading.Event()
        self._is_python = False
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=completer,
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            prompt_continuation="  ",
            key_bindings=self._bindings(),
            bottom_toolbar=self._toolbar,
            reserve_space_for_menu=4,
        )

    async def read(self, prompt: str) -> str | Leave:
        """Wait for a line; Ctrl-D on an empty one leaves, Ctrl-C empties it."""
        self._is_woken.clear()
        self._hint, self._n_ctrl_c = "", 0
        return await trio.to_thread.run_sync(self._prompt, prompt)

    def wake(self) -> None:
        """End the prompt as Ctrl-D would, so that the terminal is put back in order."""
        self._is_woken.set()
        loop = self._session.app.loop
        if loop is not None:  # otherwise it has not begun, and looks at the event when it does
            with contextlib.suppress(RuntimeError):  # it has just ended, and its loop is closed
                loop.call_soon_threadsafe(self._leave_if_woken)

    def _prompt(self, prompt: str) -> str | Leave:
        try:
            with patch_stdout(raw=True):
                return self._session.prompt(prompt, handle_sigint=False, pre_run=self._leave_if_woken)
        except EOFError:
            return Leave()

    def _leave_if_woken(self) -> None:
        app = self._session.app
        if self._is_woken.is_set() and app.is_running and not app.is_done:
            app.exit(exception=EOFError())

    def _toolbar(self) -> str:
        return f" {self._hint} " if self._hint else self._status()

    def _bindings(self) -> KeyBindings:
        keys = KeyBindings()

        def send(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
                buffer.complete_state = None  # take the completion that is chosen, go on typing
            elif buffer.document.text_before_cursor.endswith("\\") and buffer.document.is_cursor_at_the_end:
                buffer.delete_before_cursor()
                buffer.insert_text("\n")
            else:
                buffer.validate_and_handle()

        def break_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        def give_up(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            self._n_ctrl_c = 0 if buffer.text else self._n_ctrl_c + 1
            self._hint = _HINT if self._n_ctrl_c > 1 else ""
            buffer.reset()

        keys.add("enter")(send)
        keys.add("escape", "enter")(break_line)
        keys.add("c-c", eager=True)(give_up)
        return keys


def _history(path: Path) -> History:
    """Open the file of typed lines; only its owner may read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError:
        return InMemoryHistory()  # a read-only home is no reason not to talk
    return FileHistory(str(path))
