"""Commands about what is said: conversations side by side, forks, undoing, telling again, settings."""

from __future__ import annotations

from typing import Final

import trio
from attrs import evolve

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.reply import take_turn
from actorllama.cli.console.settings import described, parse_setting
from actorllama.cli.console.table import Command
from actorllama.cli.console.talk import Talk
from actorllama.cli.console.talk_file import check_name
from actorllama.errors import RequestError
from actorllama.native.sampling import check_number

__all__ = ["CHAT_COMMANDS"]

_MAX_SEED: Final = 2**64 - 1


async def _name_from(desk: Desk, rest: str) -> str:
    name = check_name(rest) if rest else await desk.free_name()
    if name in desk.session.names:
        raise RequestError(field="name", value=name, reason="there is one already: /switch to it")
    return name


async def _new(desk: Desk, rest: str) -> None:
    old = desk.talk
    talk = Talk(
        name=await _name_from(desk, rest), speaker=old.speaker, system=old.system, settings=old.settings
    )
    desk.session = desk.session.with_talk(talk)
    desk.front.note(f"({talk.name}: a new conversation)")


async def _switch(desk: Desk, rest: str) -> None:
    await trio.lowlevel.checkpoint()
    if rest:
        desk.session = desk.session.switched(rest)
        n_turns = len(desk.talk.exchanges)
        desk.front.note(f"({desk.talk.name}: {n_turns} {'turn' if n_turns == 1 else 'turns'})")
        return
    rows = [
        (
            "*" if talk.name == desk.session.current else "",
            talk.name,
            str(len(talk.exchanges)),
            talk.speaker.name,
            talk.exchanges[-1].user if talk.exchanges else "",
        )
        for talk in desk.session.talks
    ]
    desk.front.show_table(("", "CONVERSATION", "TURNS", "MODEL", "LAST"), rows)


async def _fork(desk: Desk, rest: str) -> None:
    fork = desk.talk.forked(await _name_from(desk, rest))
    old = desk.session.current
    desk.session = desk.session.with_talk(fork)
    await desk.keep(fork)
    desk.front.note(f"({fork.name}: the same past as {old})")


async def _undo(desk: Desk, _rest: str) -> None:
    await desk.keep(desk.talk.undone())
    desk.front.note(f"(forgotten; {len(desk.talk.exchanges)} left)")


async def _regen(desk: Desk, rest: str) -> None:
    seed: int | None = None
    if rest:
        try:
            seed = int(rest)
        except ValueError as error:
            raise RequestError(field="/regen", value=rest, reason="a seed is an integer") from error
        check_number("seed", seed, low=0, high=_MAX_SEED, integer=True)
    talk, text, seed = desk.talk.again(seed)
    await take_turn(desk, talk, text, seed=seed)
    desk.front.note(f"(seed {seed})")


async def _system(desk: Desk, rest: str) -> None:
    if not rest:
        await trio.lowlevel.checkpoint()
        desk.front.show(desk.talk.system or "(no instructions)")
        return
    await desk.keep(evolve(desk.talk, system="" if rest == "none" else rest))
    desk.front.note("(instructions changed; the next turn computes the conversation anew)")


async def _set(desk: Desk, rest: str) -> None:
    if not rest:
        await trio.lowlevel.checkpoint()
        desk.front.show_table(("SETTING", "VALUE"), described(desk.talk.settings))
        return
    name, value = parse_setting(rest)
    await desk.keep(evolve(desk.talk, settings={**desk.talk.settings, name: value}))
    desk.front.note(f"({name} = {value})")


async def _history(desk: Desk, _rest: str) -> None:
    await trio.lowlevel.checkpoint()
    talk = desk.talk
    if talk.system:
        desk.front.show(f"[system] {talk.system}")
    for one in talk.exchanges:
        desk.front.show(f"> {one.user}")
        desk.front.show(one.reply + (" [stopped]" if one.is_cut else ""))
    if talk.pending is not None:
        desk.front.show(f"> {talk.pending}")


CHAT_COMMANDS: Final = (
    Command(
        name="new",
        usage="[NAME]",
        group="Talk",
        summary="begin another conversation; the others stay",
        more="It has the instructions and settings of the current one. /switch goes back.",
        run=_new,
    ),
    Command(
        name="switch",
        usage="[NAME]",
        group="Talk",
        summary="list the conversations, or go on with one",
        more="Each conversation has its own past, settings and model. Example: /switch chat-1",
        completes="talks",
        run=_switch,
    ),
    Command(
        name="fork",
        usage="[NAME]",
        group="Talk",
        summary="go on in two ways: another conversation with the same past",
        more="Both go on from the same saved turn; nothing is computed again.",
        run=_fork,
    ),
    Command(
        name="undo",
        group="Talk",
        summary="forget your last message and its reply",
        run=_undo,
    ),
    Command(
        name="regen",
        usage="[SEED]",
        group="Talk",
        summary="tell the last reply again, with the next seed or this one",
        more="The same seed and settings give the same reply. Example: /regen 7",
        has_own_scope=True,
        run=_regen,
    ),
    Command(
        name="system",
        usage="[TEXT|none]",
        group="Talk",
        summary="show or change the instructions that begin the conversation",
        more="Example: /system You are terse.",
        run=_system,
    ),
    Command(
        name="set",
        usage="[NAME VALUE]",
        group="Talk",
        summary="show or change how replies are chosen",
        more="Example: /set temperature 0.7. At temperature 0 the most probable token is taken.",
        completes="settings",
        run=_set,
    ),
    Command(
        name="history",
        group="Talk",
        summary="show what was said",
        run=_history,
    ),
)
