"""``actorllama bench eviction``: what the cache's policies make of a trace, beside what is possible."""

from __future__ import annotations

from pathlib import Path

import click

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, tell_lines
from actorllama.cli.screen import note
from actorllama.errors import RequestError

__all__ = ["command"]


@bench_command(
    "eviction",
    asks="which policy keeps what a trace needs, beside what is possible",
    takes="20 s",
    params=[
        click.Option(["--trace"], metavar="FILE", help="JSON lines, as said above."),
        click.Option(
            ["--synthetic"],
            metavar="KIND",
            help="A made trace instead: conversations, scans, shifting or loop.  [default: conversations]",
        ),
        click.Option(
            ["--requests", "n_requests"],
            type=click.IntRange(1, 1_000_000),
            default=2500,
            show_default=True,
            help="Requests of a made trace.",
        ),
        click.Option(
            ["--block-tokens"],
            type=click.IntRange(1, 1 << 20),
            default=512,
            show_default=True,
            help="Tokens of a block.",
        ),
        click.Option(
            ["--fraction", "fractions"],
            type=float,
            multiple=True,
            help="A budget, as a fraction of all distinct blocks; may be repeated."
            "  [default: 0.02, 0.05, 0.1, 0.2, 0.4]",
        ),
        click.Option(
            ["--bytes", "budgets_bytes"],
            type=int,
            multiple=True,
            help="A budget in bytes; may be repeated.",
        ),
        click.Option(
            ["--token-bytes"],
            type=int,
            default=131_072,
            show_default=True,
            help="KV bytes of a token.",
        ),
        click.Option(
            ["--token-us"],
            type=float,
            default=500.0,
            show_default=True,
            help="Microseconds of prefill of a token, attention aside.",
        ),
        click.Option(
            ["--attention-tokens"],
            type=int,
            default=0,
            show_default=True,
            help="Depth at which attention costs as much as all else; 0: it costs nothing.",
        ),
        click.Option(
            ["--policy", "policies"],
            metavar="NAME",
            multiple=True,
            help="Only this policy; may be repeated.  [default: all]",
        ),
    ],
    lines=(
        "actorllama bench eviction --synthetic loop --requests 300",
        "actorllama bench eviction --requests 300 --fraction 0.1 --attention-tokens 8192 --json",
    ),
)
def command(
    *,
    trace: str | None,
    synthetic: str | None,
    n_requests: int,
    block_tokens: int,
    fractions: tuple[float, ...],
    budgets_bytes: tuple[int, ...],
    token_bytes: int,
    token_us: float,
    attention_tokens: int,
    policies: tuple[str, ...],
    as_json: bool,
    plot: Path | None,
) -> int:
    """Replay a trace of prompts under each eviction policy, beside what is possible.

    A trace has one JSON object on each line, in the order in which the requests came:

    \b
      {"timestamp": 0, "input_length": 1100, "hash_ids": [7, 8, 9]}
      input_length  tokens of the prompt, at least 1
      hash_ids      for each block of the prompt, also a last unfinished one, an
                    integer or a text that stands for it and all before it
      timestamp     optional; never less than in the line before
      Other fields are ignored, and so are empty lines.

    "of bound" is the share of seconds that no policy can exceed; "most hits" knows the future, and its
    hits are the most that are possible. The same trace gives the same answer on every machine.
    """  # noqa: D301 - click asks for the character, not for two that stand for it
    from actorllama.bench.block_trace import read_block_trace
    from actorllama.bench.eviction import FRACTIONS, EvictionBenchOptions, run_eviction_bench
    from actorllama.bench.prefill_cost import PrefillCost
    from actorllama.bench.synthetic_traces import synthetic_trace
    from actorllama.kvcache.policies import POLICIES

    if trace is not None and synthetic is not None:
        raise RequestError(field="synthetic", value=synthetic, reason="give either a trace or a kind")
    options = EvictionBenchOptions(
        fractions=fractions or (() if budgets_bytes else FRACTIONS),
        budgets_bytes=budgets_bytes,
        token_bytes=token_bytes,
        cost=PrefillCost(token_s=token_us / 1e6, attention_tokens=attention_tokens),
        policies=policies or tuple(POLICIES),
    )
    replayed = (
        read_block_trace(Path(trace), block_tokens=block_tokens)
        if trace is not None
        else synthetic_trace(synthetic or "conversations", n_requests=n_requests, block_tokens=block_tokens)
    )
    report = run_eviction_bench(replayed, options, on_progress=note)
    tell_lines(report, as_json=as_json)
    draw_report(report, plot)
    return 0
