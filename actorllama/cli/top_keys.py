"""Single keys from the terminal, without waiting for Enter."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import trio

__all__ = ["single_keys", "wait_for_key"]

_N_BYTES: Final = 64


@contextmanager
def single_keys() -> Generator[int | None, None, None]:
    """Let keys come at once and unseen while the block lasts; Ctrl-C stays what it is.

    Yields:
        The terminal's descriptor; ``None`` where standard input is no terminal.
    """
    if not sys.stdin.isatty():
        yield None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard, termios.TCSANOW)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


async def wait_for_key(keyboard: int, keys: bytes) -> None:
    """Wait until one of some keys is pressed, or the terminal is gone; others do nothing."""
    while True:
        await trio.lowlevel.wait_readable(keyboard)
        try:
            pressed = os.read(keyboard, _N_BYTES)
        except OSError:
            return
        if not pressed or any(key in keys for key in pressed):
            return
