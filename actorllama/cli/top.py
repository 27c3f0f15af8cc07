"""``actorllama top``: watch a runtime that runs in another process."""

from __future__ import annotations

import math
import signal
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio
from attrs import frozen

from actorllama.cli.examples import examples
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.screen import note, say_table
from actorllama.cli.state_dir import default_state_dir
from actorllama.cli.top_keys import single_keys, wait_for_key
from actorllama.cli.top_link import FoundRuntime, Said, find_runtimes, open_link
from actorllama.cli.top_view import TopView, top_view_for
from actorllama.errors import RequestError

__all__ = ["command"]

_MAX_INTERVAL_S: Final = 3600.0
_EARLY: Final = 0.9  # of an interval: snapshots do not come to the millisecond
_HOW: Final = (
    "no runtime answers there. Start one with open_runtime(state_dir=...) or --state-dir, for as long as it "
    "runs it can be watched, and give the same directory here"
)


@frozen(kw_only=True)
class _Asked:
    """The command line, checked."""

    folders: tuple[Path, ...]
    """The first one in which a runtime answers is looked at."""
    attach: str | None
    as_json: bool
    is_once: bool
    interval_s: float


@click.command(
    "top",
    params=[
        click.Option(
            ["--state-dir"],
            default=None,
            metavar="DIR",
            help="What open_runtime(state_dir=...) or a command was given, or the directory above.  "
            "[default: ., then ~/.local/state/actorllama]",
        ),
        click.Option(
            ["--attach"], metavar="PID|PATH", help="Which runtime: its process, or its observe*.sock file."
        ),
        click.Option(["--once"], is_flag=True, help="Tell how things stand, and leave."),
        click.Option(
            ["--interval", "interval_s"],
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="Show no more than one snapshot in so long.  [default: all that the runtime tells]",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Write each snapshot as one JSON object."),
    ],
    epilog=examples(
        "actorllama top --state-dir state",
        "actorllama top --state-dir state --once",
        "actorllama top --attach state/observe.sock --json --interval 10",
    ),
)
def command(
    *, state_dir: str | None, attach: str | None, once: bool, interval_s: float, as_json: bool
) -> int:
    """Watch a running runtime: models, slots, tokens per second, cache, pressure, events.

    A runtime that has a state directory listens there on a socket that only its user can open. It tells and
    takes no orders; prompts and replies are never told. Without --attach the only runtime under DIR is
    watched; of several, each is listed. On a terminal q or Ctrl-C leaves; elsewhere text is written. It is
    no error when the runtime ends.
    """
    if math.isnan(interval_s) or not 0 <= interval_s <= _MAX_INTERVAL_S:
        reason = f"must be between 0 and {_MAX_INTERVAL_S:g} seconds"
        raise RequestError(field="--interval", value=interval_s, reason=reason)
    asked = _Asked(
        folders=_default_folders() if state_dir is None else (_folder(state_dir),),
        attach=attach,
        as_json=as_json,
        is_once=once,
        interval_s=interval_s,
    )
    return run_interruptible(partial(_watch, asked))


def _default_folders() -> tuple[Path, ...]:
    there = tuple(folder for folder in (Path(), default_state_dir()) if folder.is_dir())
    return there or (Path(),)


def _folder(text: str) -> Path:
    folder = Path(text)
    if not text or "\0" in text or not folder.is_dir():
        reason = "there is no such directory: give the state_dir of a runtime"
        raise RequestError(field="--state-dir", value=text, reason=reason)
    return folder


async def _watch(asked: _Asked, interrupts: Interrupts) -> int:
    view = top_view_for(as_json=asked.as_json, is_once=asked.is_once)
    ended: str | None = None
    with interrupts.stopping():
        path = await _choose(asked)
        with single_keys() as keyboard, view:
            ended = await _attend(asked, path, view, None if asked.is_once else keyboard)
    if ended is not None:
        note(ended)
    return interrupts.exit_code


async def _choose(asked: _Asked) -> Path:
    """Find the socket that is meant.

    Raises:
        RequestError: There is none, or there are several.
    """
    if asked.attach is not None and not asked.attach.isdecimal():
        return Path(asked.attach)
    found, folder = await _found(asked)
    if asked.attach is not None:
        meant = next((one.path for one in found if str(one.pid) == asked.attach), None)
        if meant is None:
            pids = ", ".join(str(one.pid) for one in found) or "none"
            reason = f"no runtime of this process answers under {folder}. There are: {pids}"
            raise RequestError(field="--attach", value=asked.attach, reason=reason)
        return meant
    if not found:
        raise RequestError(field="--state-dir", value=str(folder), reason=_HOW)
    if len(found) > 1:
        say_table(("PID", "VERSION", "MODELS", "SOCKET"), [_row(one) for one in found])
        reason = f"{len(found)} runtimes answer there. Choose one with --attach PID or --attach SOCKET"
        raise RequestError(field="--state-dir", value=str(folder), reason=reason)
    return next(one.path for one in found)


async def _found(asked: _Asked) -> tuple[tuple[FoundRuntime, ...], Path]:
    """Look where the user said, or in one default place after the other."""
    for folder in asked.folders:
        found = await find_runtimes(folder)
        if any(asked.attach in (None, str(one.pid)) for one in found):
            return found, folder
    return await find_runtimes(asked.folders[0]), asked.folders[0]


def _row(one: FoundRuntime) -> tuple[str, ...]:
    return (str(one.pid), str(one.hello.get("version")), ", ".join(one.models) or "-", str(one.path))


async def _attend(asked: _Asked, path: Path, view: TopView, keyboard: int | None) -> str | None:
    """Show what comes until there is a reason to stop; return what to say about it."""
    ended: str | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_redraw, view)
        if keyboard is not None:
            nursery.start_soon(_leave_on_key, keyboard, nursery.cancel_scope)
        pid: object = None
        while True:
            hello = await _show_all(asked, path, view, pid)
            if hello is None:
                break
            # Its observer may have been restarted: the same process answers then. Otherwise it has ended.
            pid = hello.get("pid")
            ended = f"the runtime of process {pid} has ended"
        nursery.cancel_scope.cancel()
    return ended


async def _show_all(asked: _Asked, path: Path, view: TopView, pid: object) -> Said | None:
    """Show one connection to its end; ``None`` if there is nothing more to show.

    Raises:
        RequestError: It could not be opened, and none was before.
    """
    try:
        async with open_link(path) as link:
            if pid not in (None, link.hello.get("pid")):
                return None
            shown_at_s = -math.inf
            while (snapshot := await link.snapshot()) is not None:
                now_s = trio.current_time()
                if now_s - shown_at_s < asked.interval_s * _EARLY:
                    continue
                view.show(link.hello, snapshot)
                shown_at_s = now_s
                if asked.is_once:
                    return None
            return link.hello
    except RequestError:
        if pid is None:
            raise
        return None


async def _redraw(view: TopView) -> None:
    with trio.open_signal_receiver(signal.SIGWINCH) as signals:
        async for _ in signals:
            view.refresh()


async def _leave_on_key(keyboard: int, scope: trio.CancelScope) -> None:
    await wait_for_key(keyboard, b"qQ")
    scope.cancel()
