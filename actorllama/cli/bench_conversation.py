"""``actorllama bench conversation``: what conversations cost that begin alike."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.bench_target import TARGET, n_ctx_train_of, target_from
from actorllama.cli.screen import note

__all__ = ["command"]


def _count(name: str, field: str, default: int, text: str) -> click.Option:
    return click.Option([name, field], type=int, default=default, show_default=True, help=text)


_PARAMS: Final[list[click.Parameter]] = [
    *TARGET,
    _count("--conversations", "n_conversations", 8, "Conversations at the same time."),
    _count("--turns", "n_turns", 20, "Turns of each."),
    _count("--system", "n_system", 512, "Tokens of the prompt that all begin with."),
    _count("--user", "n_user", 32, "Tokens of each message."),
    _count("--reply", "n_reply", 32, "Tokens of each reply."),
    _count("-n", "n_seq", 4, "Sequences: fewer than conversations, so that some must be brought back."),
]


@bench_command(
    "conversation",
    asks="what a common beginning saves: tokens computed, bytes written",
    takes="2 min",
    params=_PARAMS,
    lines=(
        "actorllama bench conversation",
        "actorllama bench conversation --shape 0.5b --turns 5 --json",
        "actorllama bench conversation --model model.gguf --conversations 2 --turns 2 --system 64",
    ),
)
def command(
    *,
    model: str | None,
    shape: str | None,
    n_threads: int,
    n_conversations: int,
    n_turns: int,
    n_system: int,
    n_user: int,
    n_reply: int,
    n_seq: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Hold conversations with a common beginning, with the cache and without it.

    Counted are the bytes written to disk against those of all tokens, each counted once, and the prompt
    tokens computed against those that were new; measured is the time to the first token.
    """
    from actorllama.bench.conversation import run_conversation_bench
    from actorllama.bench.conversation_report import ConversationBenchOptions

    target = target_from(model, shape)
    path = target.path
    options = ConversationBenchOptions(
        model=path,
        label=target.label,
        n_ctx_train=n_ctx_train_of(path),
        n_conversations=n_conversations,
        n_turns=n_turns,
        n_system=n_system,
        n_user=n_user,
        n_reply=n_reply,
        n_seq=n_seq,
        n_threads=n_threads,
    )

    report, code = measure(lambda: run_conversation_bench(options, note))
    if report is not None:
        tell_lines(report, as_json=as_json)
        draw_report(report, plot)
    return code
