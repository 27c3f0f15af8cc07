"""The runtime seen from inside: the tree, single actors, their messages; and how it heals."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio
from attrs import asdict

from actorllama.actors import (
    SysEvent,
    format_tree,
    get_log,
    get_status,
    keep_log,
    resume,
    statistics,
    suspend,
    trace,
    which_children,
)
from actorllama.cli.console.actors_seen import find_actor, flat, parent_of
from actorllama.cli.console.desk import Desk
from actorllama.cli.console.table import Command
from actorllama.cli.failures import one_line
from actorllama.errors import ActorExited, RequestError

__all__ = ["ACTOR_COMMANDS"]

_N_LOGGED: Final = 20
_N_TRACED_PER_S: Final = 50
_TRACE: Final = "actors.actor.trace"
_MAX_CHARS: Final = 110


async def _tree(desk: Desk, _rest: str) -> None:
    await trio.lowlevel.checkpoint()
    desk.front.show(format_tree(desk.runtime.system.tree()).rstrip("\n"))


async def _top(desk: Desk, _rest: str) -> None:
    await trio.lowlevel.checkpoint()
    busiest = sorted(flat(desk.runtime.system.tree()), key=lambda node: -node.n_messages)
    rows = [
        (
            f"#{node.pid}",
            node.id,
            node.kind,
            node.state or node.phase,
            str(node.n_messages),
            str(node.n_queued),
            str(node.n_restarts),
            f"{node.age_s:.0f} s",
            node.current or "-",
        )
        for node in busiest
    ]
    headings = ("PID", "ACTOR", "KIND", "STATE", "HANDLED", "QUEUED", "RESTARTS", "AGE", "NOW")
    desk.front.show_table(headings, rows)


async def _info(desk: Desk, rest: str) -> None:
    ref = find_actor(desk.runtime.system, rest)
    status = await get_status(ref)
    counts = await statistics(ref)
    rows = [
        ("actor", repr(status.ref)),
        ("kind", status.kind),
        ("phase", status.phase),
        ("parent", repr(status.parent)),
        ("links", ", ".join(map(repr, status.links)) or "-"),
        ("monitored by", str(status.n_monitors)),
        ("unanswered calls", str(status.n_unanswered)),
    ]
    rows += [(name, f"{value:g}") for name, value in asdict(counts).items()]
    rows += [("state", _short(status.state))]
    desk.front.show_table(("WHAT", "VALUE"), rows)


async def _messages(desk: Desk, rest: str) -> None:
    ref = find_actor(desk.runtime.system, rest)
    log = await get_log(ref)
    if not log:
        await keep_log(ref, n_events=_N_LOGGED)
        desk.front.note(f"(the last {_N_LOGGED} messages of {ref!r} are kept from now on; ask again later)")
        return
    now_s = trio.current_time()
    for event in log:
        desk.front.show(_event_line(event, now_s))


def _event_line(event: SysEvent, now_s: float) -> str:
    return f"  {event.at_s - now_s:9.3f} s  {event.what:<8} {_short(event.message)}"


async def _trace(desk: Desk, rest: str) -> None:
    word, _, off = rest.partition(" ")
    ref = find_actor(desk.runtime.system, word)
    if off.strip() == "off":
        await trace(ref, n_per_s=0)
        if _TRACE in desk.feed.followed:
            desk.feed.follow(_TRACE)
        desk.front.note(f"({ref!r} is traced no more)")
        return
    await trace(ref, n_per_s=_N_TRACED_PER_S)
    if _TRACE not in desk.feed.followed:
        desk.feed.follow(_TRACE)
    desk.front.note(f"(each message that {ref!r} takes is shown; /trace {ref.name} off ends it)")


async def _suspend(desk: Desk, rest: str) -> None:
    ref = find_actor(desk.runtime.system, rest)
    await suspend(ref)
    desk.front.note(f"({ref!r} lets its messages wait; /resume {ref.name} lets it go on)")


async def _resume(desk: Desk, rest: str) -> None:
    ref = find_actor(desk.runtime.system, rest)
    await resume(ref)
    desk.front.note(f"({ref!r} goes on)")


async def _kill(desk: Desk, rest: str) -> None:
    system = desk.runtime.system
    ref = find_actor(system, rest)
    parent_pid = parent_of(system.tree(), ref.pid)
    if parent_pid is None:
        raise RequestError(field="/kill", value=ref.name, reason="nobody looks after it: it would stay dead")
    parent = find_actor(system, f"#{parent_pid}")
    monitor = system.monitor(ref)
    system.kill(ref, why="killed at the console")
    await monitor.wait()
    with suppress(ActorExited):  # its end is in the tree
        await which_children(parent)  # answered behind the death: the supervisor has dealt with it
    heir = system.whereis(ref.name)
    fate = f"{heir!r} has taken its place" if heir is not None else "nobody has its name yet"
    desk.front.note(f"({ref!r} was killed; {fate})")
    desk.front.show(format_tree(system.tree()).rstrip("\n"))


async def _events(desk: Desk, rest: str) -> None:
    await trio.lowlevel.checkpoint()
    if rest == "off":
        desk.feed.stop()
        desk.front.note("(no events are shown)")
        return
    is_shown = desk.feed.follow(rest)
    what = f"events that begin with {rest}" if rest else "all events"
    desk.front.note(f"({what} are {'shown; /events off ends it' if is_shown else 'not shown any more'})")


def _short(value: object) -> str:
    line = one_line(repr(value))
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 3]}..."


ACTOR_COMMANDS: Final = (
    Command(
        name="tree",
        group="Look inside",
        summary="show who supervises whom",
        more="Each line: name and number, kind, phase, and what it is doing.",
        run=_tree,
    ),
    Command(
        name="top",
        group="Look inside",
        summary="show all actors, the busiest first",
        run=_top,
    ),
    Command(
        name="info",
        usage="ACTOR",
        group="Look inside",
        summary="show one actor from all sides",
        more="An actor is named as in /tree, by #7, or by how its name begins. Example: /info cache",
        completes="actors",
        run=_info,
    ),
    Command(
        name="messages",
        usage="ACTOR",
        group="Look inside",
        summary="show the last messages of an actor",
        more="The first time it begins to keep them. Example: /messages model:demo",
        completes="actors",
        run=_messages,
    ),
    Command(
        name="trace",
        usage="ACTOR [off]",
        group="Look inside",
        summary="show each message of an actor as it comes",
        more=f"At most {_N_TRACED_PER_S} per second. Example: /trace cache, then say something.",
        completes="actors",
        run=_trace,
    ),
    Command(
        name="events",
        usage="[PREFIX|off]",
        group="Look inside",
        summary="show the events of the runtime as they come",
        more="Example: /events engine.turn, then say something.",
        completes="events",
        run=_events,
    ),
    Command(
        name="suspend",
        usage="ACTOR",
        group="Look inside",
        summary="let an actor's messages wait",
        more="A turn of a suspended model waits, too; Ctrl-C gives it up.",
        completes="actors",
        run=_suspend,
    ),
    Command(
        name="resume",
        usage="ACTOR",
        group="Look inside",
        summary="let a suspended actor go on",
        completes="actors",
        run=_resume,
    ),
    Command(
        name="kill",
        usage="ACTOR",
        group="Look inside",
        summary="kill an actor and watch its supervisor heal the tree",
        more="The conversation goes on: say something afterwards. Example: /kill model:demo",
        completes="actors",
        run=_kill,
    ),
)
