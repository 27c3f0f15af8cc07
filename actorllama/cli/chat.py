"""``actorllama chat``: one conversation, line by line."""

from __future__ import annotations

import sys
from functools import partial

import click
from attrs import define, evolve

from actorllama.cli.chat_lines import Leave, LineSource, PipeLines, TerminalLines
from actorllama.cli.conversation import Conversation, Quit, Say, Tell, decide
from actorllama.cli.examples import examples
from actorllama.cli.failures import EXIT_INTERRUPTED, EXIT_OK, describe, exit_code_of
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import Loading, loading_from, open_model
from actorllama.cli.parameters import LAYOUT, SAMPLING, Asking, asking_from, checked_text, model_path_from
from actorllama.cli.screen import is_fancy, note, say, say_piece
from actorllama.cli.state_dir import WATCHED, given_state_dir, usable_state_dir
from actorllama.cli.turns import take_turns
from actorllama.errors import ChatTemplateError, RequestError
from actorllama.runtime import Model

__all__ = ["command"]


@click.command(
    "chat",
    params=[
        click.Argument(["model"], required=False),
        click.Option(
            ["--system"], default=None, metavar="TEXT", help="Instructions that begin the conversation."
        ),
        *SAMPLING,
        *LAYOUT,
        WATCHED,
    ],
    epilog=examples(
        "actorllama chat",
        'actorllama chat model.gguf --system "You are terse." --temperature 0',
        'echo "What is a mailbox?" | actorllama chat',
    ),
)
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    model: str | None,
    system: str | None,
    state_dir: str | None,
    **_shared: object,
) -> int:
    """Talk with a model.

    MODEL is the path of a GGUF file; without one the embedded demo model answers. Ctrl-C stops a reply and
    keeps what was said; at the prompt, Ctrl-C or Ctrl-D leaves. /help lists the commands. Where standard
    input is no terminal, each of its lines is a turn.

    What is said is not kept. At a terminal `actorllama top` watches the chat, by default through
    ~/.local/state/actorllama.
    """
    asking = asking_from(context)
    loading = loading_from(context, model_path_from(model))
    folder = given_state_dir(state_dir)
    if loading.summary.chat_template is None:
        raise ChatTemplateError(reason=f"{loading.path} has none, so it cannot hold a conversation")
    conversation = Conversation(system="" if system is None else checked_text(system, field="system"))
    is_terminal = sys.stdin.isatty() and is_fancy(sys.stdout)
    if folder is None and is_terminal:  # a script's chat leaves nothing behind that it was not told to
        folder = usable_state_dir()
    loading = evolve(loading, state_dir=folder)
    talk = _Talk(
        asking=asking,
        lines=TerminalLines() if is_terminal else PipeLines(),
        conversation=conversation,
        is_terminal=is_terminal,
    )
    return run_interruptible(partial(_chat, loading, talk))


async def _chat(loading: Loading, talk: _Talk, interrupts: Interrupts) -> int:
    async with open_model(loading, interrupts) as (_, model):
        if model is None:
            return interrupts.exit_code
        if talk.is_terminal:
            note(f"{loading.summary.name or loading.path.name}. /help lists the commands, Ctrl-D leaves.")
        return await talk.go_on(model, interrupts)


@define(kw_only=True)
class _Talk:
    """A conversation in progress.

    Owner: the chat command's one task.
    """

    asking: Asking
    lines: LineSource
    conversation: Conversation
    is_terminal: bool
    worst_code: int = EXIT_OK

    async def go_on(self, model: Model, interrupts: Interrupts) -> int:
        """Take turns until somebody leaves; return the exit code."""
        while True:
            line = await self._next_line(interrupts)
            if interrupts.received:
                return interrupts.exit_code
            if isinstance(line, Leave):
                return EXIT_INTERRUPTED if line.is_interrupt else self.worst_code
            match decide(line, self.conversation):
                case None:
                    continue
                case Quit():
                    return self.worst_code
                case Tell(notice=notice, conversation=conversation):
                    self.conversation = conversation
                    click.echo(notice, err=True)
                case Say(text=text):
                    await self._reply(model, text, interrupts)
            if interrupts.must_leave:
                return interrupts.exit_code

    async def _next_line(self, interrupts: Interrupts) -> str | Leave:
        line: str | Leave = Leave()
        with interrupts.stopping(also=self.lines.wake):
            try:
                line = await self.lines.read()
            except RequestError as error:
                self._complain(error)
                line = ""
        return line

    async def _reply(self, model: Model, text: str, interrupts: Interrupts) -> None:
        (outcome,) = await take_turns(
            model,
            [self.conversation.messages_with(text)],
            self.asking,
            n_at_once=1,
            on_text=lambda _, piece: say_piece(piece),
            interrupts=interrupts,
        )
        was_stopped = outcome.result is None and outcome.error is None
        if was_stopped or self.is_terminal:
            # What the signal asked for is done. A person who was a moment too late did not mean the chat; a
            # script's signal between two lines did.
            interrupts.forget_ctrl_c()
        if outcome.text or outcome.error is None:
            say()
        if outcome.error is not None:
            self._complain(outcome.error)
        if outcome.error is None or outcome.text:
            self.conversation = self.conversation.after(text, outcome.text)

    def _complain(self, error: Exception) -> None:
        """Tell an error and go on; a script learns of it by the exit code."""
        note(f"actorllama: {describe(error)}")
        if not self.is_terminal:
            self.worst_code = max(self.worst_code, exit_code_of(error))
