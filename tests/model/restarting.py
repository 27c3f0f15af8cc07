"""One life of a storyteller: a program of its own, which is killed once it has said what it kept.

``python -m tests.model.restarting ROOT N_TOKENS [KEY]`` begins the text, or goes on from ``KEY``, for so many
tokens; prints the turn as a line of JSON once its boundary is on the disk; then takes turns without end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio

from actorllama import Bus, Model, TurnResult, demo, open_runtime
from actorllama.kvcache.events import ENTRY_PUBLISHED
from actorllama.runtime import SamplingOptions
from actorllama.telemetry import record

PROMPT = "Once there was"
CHAIN: SamplingOptions = {
    "temperature": 0.8,
    "seed": 11,
    "repeat_penalty": 1.1,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "dry_multiplier": 0.8,
    "xtc_probability": 0.3,
    "xtc_threshold": 0.05,
    "min_p": 0.01,
    "grammar": "root ::= [A-Za-z ,.]+",
    "logprobs": 2,
}


async def begin(model: Model, n_tokens: int, *, keep: bool = False) -> TurnResult:
    """Tell the beginning, or all of it."""
    return await model.complete(PROMPT, max_tokens=n_tokens, keep=keep, **CHAIN)


async def live(root: Path, n_tokens: int, key: str | None) -> None:
    """Tell one part, say so when it is on the disk, and be busy with something else from then on."""
    bus = Bus()
    with record(bus, ENTRY_PUBLISHED) as heard:
        async with open_runtime(bus=bus, state_dir=root) as rt:
            model = await rt.load("demo", demo.model_path(), n_seq=3, ctx_per_seq=256, n_threads=1)
            if key is None:
                part = await begin(model, n_tokens, keep=True)
            else:
                part = await model.resume(key, max_tokens=n_tokens)
            wanted = {"tier": "disk", "key": part.resume_key}
            while not any(wanted.items() <= fact.metadata.items() for fact in heard.facts):
                await trio.lowlevel.checkpoint()
            said = {"tokens": part.tokens, "logprobs": [item.logprob for item in part.logprobs or ()]}
            sys.stdout.write(json.dumps({**said, "text": part.text, "key": part.resume_key}) + "\n")
            sys.stdout.flush()
            while True:
                await model.complete("A dog", max_tokens=100, keep=True)


if __name__ == "__main__":
    trio.run(live, Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
