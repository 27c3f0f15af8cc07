"""The table of all commands, and ``/help``, which reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

import trio

from actorllama.cli.console.actor_commands import ACTOR_COMMANDS
from actorllama.cli.console.chat_commands import CHAT_COMMANDS
from actorllama.cli.console.desk import Desk
from actorllama.cli.console.keep_commands import KEEP_COMMANDS
from actorllama.cli.console.memory_commands import MEMORY_COMMANDS
from actorllama.cli.console.model_commands import MODEL_COMMANDS
from actorllama.cli.console.python_commands import PYTHON_COMMANDS
from actorllama.cli.console.table import Command, Group
from actorllama.errors import RequestError

__all__ = ["COMMANDS", "find_command"]

_TOUR: Final = """\
Type a message and press Enter. A line that begins with / is a command; // says a message that begins with /.
Enter sends, Alt-Enter (or a backslash at the end) begins another line, Tab completes.
Ctrl-C stops a reply and keeps what was said; Ctrl-D leaves."""
_TRY: Final = """\
Try: /set temperature 0.7   /regen 7   /fork   /save trip   /tree   /kill model:NAME, then go on talking
/help COMMAND tells more about one."""


def find_command(name: str) -> Command:
    """Give a command; the beginning of its name is enough where it is the only one.

    Raises:
        RequestError: There is none, or there are several.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    near = [one for one in COMMANDS if name and one.startswith(name)]
    if len(near) == 1:
        return COMMANDS[near[0]]
    reason = f"that is {', '.join(f'/{one}' for one in near)}" if near else "there is none; /help lists them"
    raise RequestError(field="command", value=f"/{name}", reason=reason)


async def _help(desk: Desk, rest: str) -> None:
    await trio.lowlevel.checkpoint()
    if rest:
        one = find_command(rest.removeprefix("/"))
        desk.front.show(f"{_head(one)}   {one.summary}")
        if one.more:
            desk.front.show(one.more)
        return
    desk.front.show(_TOUR)
    width = max(len(_head(one)) for one in COMMANDS.values())
    for group in get_args(Group):
        desk.front.show(f"\n{group}")
        for one in COMMANDS.values():
            if one.group == group:
                desk.front.show(f"  {_head(one):<{width}}  {one.summary}")
    desk.front.show(f"\n{_TRY}")


def _head(one: Command) -> str:
    return f"/{one.name} {one.usage}".rstrip()


async def _quit(desk: Desk, _rest: str) -> None:
    await trio.lowlevel.checkpoint()
    desk.is_leaving = True


_MORE: Final = (
    Command(
        name="help",
        usage="[COMMAND]",
        group="More",
        summary="this list, or one command",
        completes="commands",
        run=_help,
    ),
    Command(name="quit", group="More", summary="leave (or Ctrl-D)", run=_quit),
)

COMMANDS: Final[Mapping[str, Command]] = {
    one.name: one
    for one in (
        *CHAT_COMMANDS,
        *KEEP_COMMANDS,
        *MODEL_COMMANDS,
        *ACTOR_COMMANDS,
        *MEMORY_COMMANDS,
        *PYTHON_COMMANDS,
        *_MORE,
    )
}
"""By name, in the order of the help."""
