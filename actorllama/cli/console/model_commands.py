"""Commands about models: which are loaded, load and unload, which one answers, how fast."""

from __future__ import annotations

from typing import Final

import trio
from attrs import evolve

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.speakers import name_for, path_of, speaker_of
from actorllama.cli.console.table import Command
from actorllama.errors import RequestError

__all__ = ["MODEL_COMMANDS", "load_model"]

_N_BENCH: Final = 64
_BENCH_PROMPT: Final = "Once upon a time there was a supervisor who restarted everything. " * 4


async def load_model(desk: Desk, rest: str) -> None:
    """Load ``PATH [NAME]``; the current conversation keeps its model.

    Raises:
        ModelLoadError: The file cannot be used.
        RequestError: The name is not usable.
    """
    words = rest.split()
    path = path_of(words[0])
    taken = {status.name for status in await desk.runtime.models()}
    name = words[1] if len(words) > 1 else name_for(path, taken)
    model = await desk.runtime.load(name, path)
    desk.unloaded -= {name}
    desk.front.note(f"({name}: {model.facts.description}. /use {name} lets it answer)")


async def _models(desk: Desk, _rest: str) -> None:
    rows = [
        (
            "*" if one.name == desk.talk.speaker.name else "",
            one.name,
            one.state,
            f"{one.n_live}/{one.n_seq}",
            str(one.n_queued),
            str(one.ctx_per_seq),
            one.exactness or "-",
            one.path,
        )
        for one in await desk.runtime.models()
    ]
    headings = ("", "MODEL", "STATE", "TURNS", "QUEUED", "CONTEXT", "RESUMES", "FILE")
    desk.front.show_table(headings, rows)


async def _unload(desk: Desk, rest: str) -> None:
    name = rest or desk.talk.speaker.name
    await desk.runtime.unload(name)
    desk.unloaded |= {name}
    desk.front.note(f"({name}: unloaded)")


async def _use(desk: Desk, rest: str) -> None:
    model = desk.runtime.model(rest)
    await desk.keep(evolve(desk.talk, speaker=speaker_of(model)))
    desk.front.note(f"({rest} answers from now on)")


async def _bench(desk: Desk, rest: str) -> None:
    try:
        n_tokens = int(rest) if rest else _N_BENCH
    except ValueError as error:
        raise RequestError(field="/bench", value=rest, reason="a number of tokens") from error
    model = desk.model
    started_s = trio.current_time()
    result = await model.complete(_BENCH_PROMPT, max_tokens=n_tokens, temperature=0.0)
    usage, timings = result.usage, result.timings
    rows = [
        ("prompt", str(usage.n_prefilled), f"{_rate(usage.n_prefilled, timings.prefill_s)} tokens/s"),
        ("from the cache", str(usage.n_cached), f"{timings.restore_s * 1e3:.1f} ms"),
        ("reply", str(usage.n_generated), f"{_rate(usage.n_generated, timings.decode_s)} tokens/s"),
        ("whole", str(usage.n_total), f"{trio.current_time() - started_s:.3f} s"),
    ]
    desk.front.show_table(("PART", "TOKENS", "SPEED"), rows)


def _rate(n_tokens: int, seconds_s: float) -> str:
    return f"{n_tokens / seconds_s:.0f}" if seconds_s > 0 else "-"


MODEL_COMMANDS: Final = (
    Command(
        name="models",
        group="Models",
        summary="show the loaded models; * answers this conversation",
        run=_models,
    ),
    Command(
        name="use",
        usage="MODEL",
        group="Models",
        summary="let another loaded model answer this conversation",
        completes="models",
        run=_use,
    ),
    Command(
        name="unload",
        usage="[MODEL]",
        group="Models",
        summary="let running turns end, then free a model's memory",
        completes="models",
        run=_unload,
    ),
    Command(
        name="bench",
        usage="[TOKENS]",
        group="Models",
        summary="one greedy turn with its speeds",
        more="For measurements that can be compared, leave and use `actorllama bench`.",
        run=_bench,
    ),
)
