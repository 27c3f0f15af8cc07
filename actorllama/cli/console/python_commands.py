"""``/py``: one expression, or a Python prompt until Ctrl-D."""

from __future__ import annotations

from typing import Final

import trio

from actorllama.cli.chat_lines import Leave
from actorllama.cli.console.desk import Desk
from actorllama.cli.console.python_shell import Failed, PythonShell, is_whole
from actorllama.cli.console.table import Command

__all__ = ["PYTHON_COMMANDS"]

_LEAVE: Final = frozenset({"exit", "quit", "exit()", "quit()", "/quit"})
_TOLD: Final = "rt (the runtime), system (its actors), model, chat (a copy of this conversation), desk, trio"


async def _py(desk: Desk, rest: str) -> None:
    shell = _shell(desk)
    if rest:
        with desk.interrupts.stopping():
            await _run(desk, shell, rest)
        return
    desk.front.note(f"(Python with await; bound: {_TOLD}. Ctrl-D or exit goes back)")
    while True:
        source = await _source(desk)
        if desk.front.is_terminal:
            desk.interrupts.forget_ctrl_c()
        if source is None or desk.interrupts.received or source.strip() in _LEAVE:
            return
        with desk.interrupts.stopping():
            await _run(desk, shell, source)
        if desk.front.is_terminal:
            desk.interrupts.forget_ctrl_c()


def _shell(desk: Desk) -> PythonShell:
    """Bind what is current now; what the user has bound stays."""
    shell = desk.python
    shell.names.update(rt=desk.runtime, system=desk.runtime.system, desk=desk, trio=trio)
    talk = desk.talk
    loaded = {one.model for one in desk.runtime.gauges()}
    if talk.speaker.name in loaded:
        model = desk.runtime.model(talk.speaker.name)
        chat = model.conversation(talk.system or None, messages=talk.messages, resume_key=talk.resume_key)
        shell.names.update(model=model, chat=chat)
    return shell


async def _source(desk: Desk) -> str | None:
    """Read lines until they are whole; ``None`` where somebody leaves."""
    lines: list[str] = []
    while True:
        line: str | Leave = Leave()
        with desk.interrupts.stopping(also=desk.front.wake):
            line = await desk.front.read(is_python=True, is_more=bool(lines))
        if isinstance(line, Leave):
            return "\n".join(lines) if lines else None
        lines.append(line)
        source = "\n".join(lines)
        if is_whole(source):
            return source


async def _run(desk: Desk, shell: PythonShell, source: str) -> None:
    outcome = await shell.run(source)
    if isinstance(outcome, Failed):
        desk.front.show(outcome.told)
    elif outcome.value is not None:
        desk.front.show(repr(outcome.value))


PYTHON_COMMANDS: Final = (
    Command(
        name="py",
        usage="[CODE]",
        group="More",
        summary="run Python with await in this runtime, or begin a Python prompt",
        more=f"Bound are {_TOLD}. Examples: /py await rt.models(), "
        "/py (await model.complete('Once', max_tokens=8)).text",
        has_own_scope=True,
        run=_py,
    ),
)
