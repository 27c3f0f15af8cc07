"""``actorllama bench peers``: the same loads for actorllama and for others who run llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from actorllama.bench.peers.options import CONTESTANTS, LOADS, PeersOptions
from actorllama.cli.bench_command import bench_command, count_option
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.bench_target import TARGET, n_ctx_train_of, target_from
from actorllama.cli.screen import note
from actorllama.native.cpus import usable_cpus

__all__ = ["command"]

_MEGABYTE: Final = 1 << 20

_PARAMS: Final[list[click.Parameter]] = [
    *TARGET,
    click.Option(
        ["--llama-server"],
        metavar="PATH",
        help="The program; docs/peers.md says how to build it.  [default: on PATH]",
    ),
    click.Option(
        ["--python"], metavar="PATH", help="The interpreter with llama-cpp-python.  [default: this one]"
    ),
    click.Option(
        ["--library"],
        metavar="DIRECTORY",
        help="Where the libllama lies that all in Python load.  [default: beside llama-server]",
    ),
    click.Option(
        ["--contestant", "contestants"],
        type=click.Choice(CONTESTANTS),
        multiple=True,
        help="Who takes part; may be repeated.  [default: all]",
    ),
    click.Option(
        ["--load", "loads"],
        type=click.Choice(LOADS),
        multiple=True,
        help="What they are asked; may be repeated.  [default: all]",
    ),
    count_option("--rounds", "n_rounds", 5, "Rounds of turns."),
    click.Option(
        ["--side-by-side"],
        type=int,
        multiple=True,
        help="Turns at the same time; may be repeated.  [default: 1, 4, 8, 16]",
    ),
    count_option("--turn-prompt", "n_turn_prompt", 128, "turns: tokens of the first prompt."),
    count_option("--turn-reply", "n_turn_reply", 64, "turns: tokens of each reply."),
    count_option("--user", "n_user", 32, "Tokens of each message after the first."),
    count_option("--reply", "n_reply", 32, "Tokens of each reply, in all loads but turns."),
    count_option("--conversations", "n_conversations", 4, "conversations: how many."),
    count_option("--turns", "n_conversation_turns", 6, "conversations: turns of each."),
    count_option("--system", "n_system", 512, "conversations: tokens of the prompt that all begin with."),
    count_option("--crowd", "n_crowd", 12, "crowd: conversations."),
    count_option("--slots", "n_crowd_slots", 4, "crowd: slots."),
    count_option("--opening", "n_crowd_opening", 1024, "crowd: tokens of each first message."),
    count_option("--crowd-rounds", "n_crowd_rounds", 3, "crowd: turns of each."),
    count_option("--checked", "n_checked", 3, "crowd: conversations that are compared with an unbroken run."),
    count_option("--tight-cache-mb", "tight_cache_mb", 24, "crowd: RAM cache of its second run."),
    count_option("--restarted", "n_restarted", 3, "restart: conversations."),
    count_option("--restart-prompt", "n_restart_prompt", 3840, "restart: tokens of each."),
    count_option("--restart-message", "n_restart_message", 16, "restart: tokens that come after it."),
    count_option("--memory", "n_memory", 16, "memory: conversations."),
    count_option("--memory-prompt", "n_memory_prompt", 256, "memory: tokens of each."),
    count_option("--memory-cells", "n_memory_cells", 4096, "memory: tokens that a slot can hold."),
    count_option("--ram-cache-mb", "ram_cache_mb", 1024, "Budget of everyone's cache in RAM."),
]


@bench_command(
    "peers",
    asks="the same conversations with others who run llama.cpp",
    takes="8 min",
    params=_PARAMS,
    lines=(
        "actorllama bench peers --llama-server llama.cpp/build/bin/llama-server",
        "actorllama bench peers --contestant actorllama --contestant llama-server --load turns --json",
        "actorllama bench peers --shape 0.5b --threads 1 --load crowd --opening 2048 --tight-cache-mb 64",
    ),
)
def command(
    *,
    model: str | None,
    shape: str | None,
    n_threads: int,
    llama_server: str | None,
    python: str | None,
    library: str | None,
    contestants: tuple[str, ...],
    loads: tuple[str, ...],
    side_by_side: tuple[int, ...],
    tight_cache_mb: int,
    ram_cache_mb: int,
    as_json: bool,
    plot: Path | None,
    **counts: int,
) -> int:
    """Hold the same conversations with actorllama and with others who run llama.cpp.

    Each runs in a process of its own, told the same model, threads, cells, types and greedy sampling, with
    one libllama for all where they can. turns: side by side in slots; conversations: with one system prompt;
    crowd: more of them than slots; restart: a new process in the middle; memory: nothing kept besides.

    Who is not found is told, with how to get it, and left out. If one fails in a load, the exit code is 1.
    """
    from actorllama.bench.peers import run_peers_bench

    target = target_from(model, shape)
    path = target.path
    options = PeersOptions(
        model=path,
        label=target.label,
        n_ctx_train=n_ctx_train_of(path),
        is_random=target.given is None,
        n_threads=n_threads or usable_cpus(),
        contestants=tuple(name for name in CONTESTANTS if name in contestants or not contestants),
        loads=tuple(name for name in LOADS if name in loads or not loads),
        llama_server=None if llama_server is None else Path(llama_server),
        python=None if python is None else Path(python),
        library=None if library is None else Path(library),
        ram_cache_bytes=ram_cache_mb * _MEGABYTE,
        tight_cache_bytes=tight_cache_mb * _MEGABYTE,
        side_by_side=side_by_side or (1, 4, 8, 16),
        **counts,
    )
    report, code = measure(lambda: run_peers_bench(options, note))
    if report is None:
        return code
    tell_lines(report, as_json=as_json)
    draw_report(report, plot)
    return code or int(report.has_failures)
