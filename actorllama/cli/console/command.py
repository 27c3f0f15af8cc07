"""``actorllama console``: the command line."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import click
from attrs import frozen

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.event_feed import EventFeed
from actorllama.cli.console.front import Front
from actorllama.cli.console.keep_commands import load_talk
from actorllama.cli.console.loop import go_on
from actorllama.cli.console.plain_front import PlainFront
from actorllama.cli.console.session import Session, free_name
from actorllama.cli.console.speakers import load_speaker, name_for, path_of, speaker_of
from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Talk
from actorllama.cli.console.terminal_front import TerminalFront
from actorllama.cli.examples import examples
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import Loading, loading_from
from actorllama.cli.parameters import LAYOUT, checked_text, model_path_from
from actorllama.cli.screen import is_fancy, progress
from actorllama.cli.state_dir import default_state_dir, given_state_dir
from actorllama.errors import RequestError
from actorllama.runtime import Model, Runtime, open_runtime
from actorllama.telemetry import Bus, attach_structlog

__all__ = ["command"]


@frozen(kw_only=True)
class _Opening:
    """How a console begins."""

    loading: Loading
    state_dir: Path
    path: Path | None
    system: str
    load: Talk | None
    script: int | None


@click.command(
    "console",
    params=[
        click.Argument(["model"], required=False),
        click.Option(["--system"], default=None, metavar="TEXT", help="Instructions that begin."),
        click.Option(["--load"], default=None, metavar="NAME", help="Go on with a saved conversation."),
        click.Option(["--script"], default=None, metavar="FILE", help="Take the lines from a file."),
        click.Option(
            ["--state-dir"],
            default=None,
            metavar="DIR",
            help="Where conversations and saved turns are kept.  [default: ~/.local/state/actorllama]",
        ),
        *LAYOUT,
    ],
    epilog=examples(
        "actorllama console",
        "actorllama console model.gguf --state-dir state",
        'echo "What is 2 + 3?" | actorllama console',
    ),
)
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    model: str | None,
    system: str | None,
    load: str | None,
    script: str | None,
    state_dir: str | None,
    **_shared: object,
) -> int:
    """Talk, keep, fork, and look inside.

    MODEL is the path of a GGUF file; without one the embedded demo model answers. /help teaches the rest.
    Ctrl-C stops a reply and keeps what was said, Ctrl-D leaves. At a terminal every conversation is saved
    turn by turn: after a kill, --load goes on. Where standard input is no terminal, each of its lines is a
    message or a command, and only what was saved by /save is kept.
    """
    directory = given_state_dir(state_dir) or default_state_dir()
    talk = None if load is None else Store(directory).read(load)
    path = path_of(talk.speaker.path) if talk is not None and model is None else model_path_from(model)
    opening = _Opening(
        loading=loading_from(context, path),
        state_dir=directory,
        path=path,
        system="" if system is None else checked_text(system, field="system"),
        load=talk if model is None else None,
        script=None if script is None else _open_script(script),
    )
    return run_interruptible(partial(_console, opening, load))


async def _console(opening: _Opening, load: str | None, interrupts: Interrupts) -> int:
    loading = opening.loading
    bus = Bus()
    attach_structlog(bus, loading.config.telemetry)
    async with open_runtime(loading.config, bus=bus, state_dir=opening.state_dir) as runtime:
        loaded: list[Model] = []
        with progress(f"loading {loading.path.name}") as on_progress, interrupts.stopping():
            if opening.load is not None:
                loaded.append(runtime.model((await load_speaker(runtime, opening.load.speaker)).name))
            else:
                name = name_for(opening.path, ())
                loaded.append(await runtime.load(name, loading.path, on_progress=on_progress))
        if not loaded or interrupts.received:
            return interrupts.exit_code
        desk = _desk(opening, runtime, loaded[0], bus, interrupts)
        if load is not None:
            await load_talk(desk, load)
        try:
            return await go_on(desk)
        finally:
            desk.feed.stop()  # nobody wants to see the end of every actor


def _desk(opening: _Opening, runtime: Runtime, model: Model, bus: Bus, interrupts: Interrupts) -> Desk:
    store = Store(opening.state_dir)
    is_terminal = opening.script is None and sys.stdin.isatty() and is_fancy(sys.stdout)
    talk = Talk(name=free_name(store.names()), speaker=speaker_of(model), system=opening.system)
    terminal = TerminalFront() if is_terminal else None
    front: Front = terminal or PlainFront(opening.script or 0)
    desk = Desk(
        runtime=runtime,
        front=front,
        interrupts=interrupts,
        store=store,
        session=Session.of(talk),
        feed=EventFeed(bus, front.show),
        saves_all=front.is_terminal,
    )
    if terminal is not None:
        _equip(terminal, desk, opening.state_dir)
    return desk


def _equip(front: TerminalFront, desk: Desk, state_dir: Path) -> None:
    from actorllama.cli.console.completing import LineCompleter
    from actorllama.cli.console.keyboard import Keyboard
    from actorllama.cli.console.status import status_line

    history, status = state_dir / "console_history", partial(status_line, desk)
    front.equip(Keyboard(history=history, completer=LineCompleter(desk), status=status), status)
    front.note("/help teaches, Tab completes, Ctrl-C stops a reply, Ctrl-D leaves.")
    for name in desk.store.names()[:1]:
        front.note(f"The last conversation was {name}: /load {name} goes on with it.")


def _open_script(text: str) -> int:
    try:
        return os.open(text, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(field="--script", value=text, reason=str(reason)) from error
