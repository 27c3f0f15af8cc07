"""How replies appear while they are written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from actorllama.cli.failures import one_line
from actorllama.cli.screen import clean, console_for, is_fancy, say, say_piece
from actorllama.cli.turns import Outcome

__all__ = ["PanelView", "RunView", "StreamView", "WholeView", "label_of", "view_for"]

_FRAME_LINES = 2  # of a panel
_LEAST_LINES = 1  # of text in a panel
_TITLE_CHARS = 60
_TAIL_CHARS = 8192  # of a reply are kept while it is drawn


class RunView(Protocol):
    """Where the replies of one run appear. Used as a context while the turns run."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def on_text(self, index: int, text: str) -> None:
        """Take text of one reply as it comes."""
        ...

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Leave the whole replies on the screen."""
        ...


def view_for(prompts: Sequence[str]) -> RunView:
    """Choose the view: panels where they can be drawn, a stream for one reply, whole replies elsewhere."""
    if is_fancy(sys.stdout) and len(prompts) > 1:
        return PanelView(prompts)
    if sys.stdout.isatty() and len(prompts) == 1:
        return StreamView()
    return WholeView(prompts)


class WholeView:
    """Shows nothing before the end, then the replies in the order of their prompts."""

    def __init__(self, prompts: Sequence[str]) -> None:
        """Label the replies, if there are several."""
        self._prompts = prompts

    def __enter__(self) -> Self:
        """Nothing is shown yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing was shown yet."""

    def on_text(self, index: int, text: str) -> None:
        """Wait for the whole."""

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write the replies, each under its label; a single one as it is."""
        if len(outcomes) == 1:
            if outcomes[0].text or outcomes[0].error is None:
                say(outcomes[0].text)
            return
        for index, outcome in enumerate(outcomes):
            if index:
                say()
            say(label_of(index, self._prompts[index]))
            if outcome.text:
                say(outcome.text)


class StreamView:
    """Writes one reply as it comes."""

    def __enter__(self) -> Self:
        """The reply begins where the cursor is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing was changed."""

    def on_text(self, index: int, text: str) -> None:
        """Write it."""
        say_piece(text)

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """End the last line."""
        say()


class PanelView:
    """Draws a panel per prompt; a thread of rich's draws them anew while the turns run.

    While they run, each panel shows the end of its reply, as many lines as fit; at the end the panels are
    left with the whole replies.

    Owner: the running command. The drawing thread only reads.
    """

    def __init__(self, prompts: Sequence[str]) -> None:
        """Begin with empty panels."""
        self._prompts = prompts
        self._texts = [""] * len(prompts)
        self._console = console_for(sys.stdout)
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=12,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Wipe the panels and show the cursor again."""
        self._live.stop()

    def on_text(self, index: int, text: str) -> None:
        """Add it to its panel."""
        longer = self._texts[index] + clean(text)
        # Only the end is drawn. Cut rarely, for a cut moves the places where lines are folded.
        self._texts[index] = longer if len(longer) < 2 * _TAIL_CHARS else longer[-_TAIL_CHARS:]

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Print the whole replies."""
        for index, outcome in enumerate(outcomes):
            self._console.print(self._panel(index, Text(clean(outcome.text))))

    def _draw(self) -> Group:
        n_fitting = max(self._console.height // (_FRAME_LINES + _LEAST_LINES) - 1, 1)
        shown = range(min(len(self._prompts), n_fitting))
        n_lines = max((self._console.height - 1) // len(shown) - _FRAME_LINES, _LEAST_LINES)
        return Group(*(self._panel(index, self._tail(index, n_lines)) for index in shown))

    def _tail(self, index: int, n_lines: int) -> Text:
        lines = Text(self._texts[index]).wrap(self._console, max(self._console.width - 4, 1))
        return Text("\n").join(lines[-n_lines:])

    def _panel(self, index: int, text: Text) -> Panel:
        return Panel(text, title=Text(label_of(index, self._prompts[index])), title_align="left")


def label_of(index: int, prompt: str) -> str:
    """Name a reply by its number and its prompt."""
    line = one_line(prompt)
    return f"[{index + 1}] {line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 3] + '...'}"
