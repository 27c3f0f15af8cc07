"""``actorllama run``: several prompts side by side, from one runtime."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import click
from attrs import asdict, evolve, frozen

from actorllama.cli.examples import examples
from actorllama.cli.failures import describe
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import Loading, loading_from, open_model
from actorllama.cli.parameters import (
    JSON,
    LAYOUT,
    SAMPLING,
    Asking,
    asking_from,
    checked_text,
    model_path_from,
)
from actorllama.cli.run_report import RunStatistics, answer_of, statistics_of, worst_exit_code
from actorllama.cli.run_view import RunView, WholeView, view_for
from actorllama.cli.screen import note, say_json
from actorllama.cli.state_dir import WATCHED, given_state_dir
from actorllama.cli.turns import Outcome, Prompt, take_turns
from actorllama.errors import RequestError

__all__ = ["command"]

_STDIN: Final = "-"
_SUFFIX: Final = ".gguf"


@frozen(kw_only=True)
class _Run:
    """Everything that a run needs, checked."""

    prompts: tuple[str, ...]
    asking: Asking
    loading: Loading
    is_chat: bool

    def prompt(self, text: str) -> Prompt:
        return [{"role": "user", "content": text}] if self.is_chat else text


@frozen(kw_only=True)
class _Ended:
    """What came of it; no outcomes if a signal came before the model was there."""

    outcomes: tuple[Outcome, ...]
    statistics: RunStatistics
    signal_code: int


@click.command(
    "run",
    params=[
        click.Argument(["words"], metavar="[MODEL] PROMPT...", nargs=-1),
        click.Option(
            ["--model", "-m"], metavar="PATH", help="A GGUF file.  [default: the embedded demo model]"
        ),
        click.Option(
            ["--raw"], is_flag=True, help="Continue the prompt as it is, without the chat template."
        ),
        *SAMPLING,
        *LAYOUT,
        WATCHED,
        JSON,
    ],
    epilog=examples(
        'actorllama run "What is an actor?"',
        'actorllama run --temperature 0 "What is 2 + 3?" "Spell cat." "Count to five."',
        'echo "Hello!" | actorllama run --json -',
        'actorllama run model.gguf --raw --max-tokens 40 "Once upon a time"',
    ),
)
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    words: tuple[str, ...],
    model: str | None,
    raw: bool,
    state_dir: str | None,
    as_json: bool,
    **_shared: object,
) -> int:
    """Answer every PROMPT, all at the same time.

    Each PROMPT is a conversation of its own. MODEL is the path of a GGUF file (or give --model); without one
    the embedded demo model answers. A PROMPT that is `-` is read from standard input. Ctrl-C stops the
    replies and keeps what was said; a second Ctrl-C leaves at once. Nothing is kept on disk; with --state-dir
    the verdict about the model is, and the run can be watched.
    """
    path, texts = _split(words, model)
    if not texts:
        raise click.UsageError("Missing argument 'PROMPT...'.", context)
    asking = asking_from(context)
    loading = evolve(loading_from(context, path), state_dir=given_state_dir(state_dir))
    run = _Run(
        prompts=_prompts(texts),
        asking=asking,
        loading=loading,
        is_chat=not raw and loading.summary.chat_template is not None,
    )
    view = WholeView(run.prompts) if as_json else view_for(run.prompts)
    ended = run_interruptible(partial(_take, run, view))
    return _tell(run, view, ended, as_json=as_json)


def _split(words: Sequence[str], model: str | None) -> tuple[Path | None, Sequence[str]]:
    """Tell the MODEL from the prompts: it is a path that ends in .gguf, and no sentence."""
    if model is not None or not words or not words[0].endswith(_SUFFIX):
        return model_path_from(model), words
    is_sentence = any(c.isspace() for c in words[0]) and not Path(words[0]).exists()
    return (None, words) if is_sentence else (Path(words[0]), words[1:])


def _prompts(texts: Sequence[str]) -> tuple[str, ...]:
    """Check the prompts and read the one that stands on standard input.

    Raises:
        RequestError: One is empty or not UTF-8, or two want standard input.
    """
    if texts.count(_STDIN) > 1:
        raise RequestError(field="prompt", value=_STDIN, reason="standard input can be read only once")
    return tuple(checked_text(_stdin() if text == _STDIN else text, field="prompt") for text in texts)


def _stdin() -> str:
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        found = raw[error.start : error.start + 8]
        reason = f"standard input is not UTF-8 at byte {error.start}"
        raise RequestError(field="prompt", value=found, reason=reason) from error


async def _take(run: _Run, view: RunView, interrupts: Interrupts) -> _Ended:
    outcomes: tuple[Outcome, ...] = ()
    config = run.loading.config
    async with open_model(run.loading, interrupts) as (runtime, model):
        began_s = perf_counter()
        if model is not None:
            with view:
                outcomes = await take_turns(
                    model,
                    [run.prompt(text) for text in run.prompts],
                    run.asking,
                    n_at_once=config.context.n_seq + min(config.context.n_seq, config.engine.queue_capacity),
                    on_text=view.on_text,
                    interrupts=interrupts,
                )
        wall_s = perf_counter() - began_s
        statuses = await runtime.models()
    loop = statuses[0].statistics if statuses else None
    return _Ended(
        outcomes=outcomes,
        statistics=statistics_of(outcomes, loop, wall_s=wall_s),
        signal_code=interrupts.exit_code,
    )


def _tell(run: _Run, view: RunView, ended: _Ended, *, as_json: bool) -> int:
    """Write the replies, then what went wrong, then the numbers."""
    if ended.outcomes:
        if as_json:
            about: dict[str, object] = {
                "model": {"path": str(run.loading.path), "name": run.loading.summary.name},
                "statistics": asdict(ended.statistics),
                "is_interrupted": ended.signal_code != 0,
            }
            say_json(answer_of(run.prompts, ended.outcomes, about))
        else:
            view.finish(ended.outcomes)
    for index, outcome in enumerate(ended.outcomes):
        if outcome.error is not None:
            which = f"prompt {index + 1}: " if len(ended.outcomes) > 1 else ""
            note(f"actorllama: {which}{describe(outcome.error)}")
    if not ended.outcomes:
        note("stopped before the model was loaded")
    elif ended.statistics.n_generated:
        note(ended.statistics.line())
    return ended.signal_code or worst_exit_code(ended.outcomes)
