"""Read a line, do what it asks, until somebody leaves."""

from __future__ import annotations

from actorllama.cli.chat_lines import Leave
from actorllama.cli.console.commands import find_command
from actorllama.cli.console.desk import Desk
from actorllama.cli.console.lines import Do, Say, parse
from actorllama.cli.console.reply import take_turn
from actorllama.cli.failures import EXIT_INTERRUPTED
from actorllama.errors import ActorLlamaError, RequestError

__all__ = ["go_on"]


async def go_on(desk: Desk) -> int:
    """Serve lines; return the exit code."""
    while not desk.is_leaving:
        line = await _next_line(desk)
        if desk.front.is_terminal and desk.interrupts.received and not desk.interrupts.must_leave:
            desk.interrupts.forget_ctrl_c()  # a moment too late for the reply that it meant
            continue
        if desk.interrupts.received:
            return desk.interrupts.exit_code
        if isinstance(line, Leave):
            return EXIT_INTERRUPTED if line.is_interrupt else desk.worst_code
        try:
            await _serve(desk, line)
        except (ActorLlamaError, OSError) as error:
            desk.complain(error)
        if desk.interrupts.received and desk.front.is_terminal:
            # What the signal asked for is done. A person did not mean the console; a script's signal did.
            desk.interrupts.forget_ctrl_c()
        if desk.interrupts.received:
            return desk.interrupts.exit_code
    return desk.worst_code


async def _serve(desk: Desk, line: str) -> None:
    match parse(line):
        case None:
            return
        case Say(text=text):
            await take_turn(desk, desk.talk, text)
        case Do(name=name, rest=rest):
            command = find_command(name)
            if command.has_own_scope:
                await command.run(desk, rest)
                return
            with desk.interrupts.stopping():
                await command.run(desk, rest)


async def _next_line(desk: Desk) -> str | Leave:
    line: str | Leave = Leave()
    with desk.interrupts.stopping(also=desk.front.wake):
        try:
            line = await desk.front.read()
        except RequestError as error:
            desk.complain(error)
            line = ""
    return line
