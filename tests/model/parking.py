"""One life of a model that is asked for its memory: a program of its own, so that its pages can be counted.

``python -m tests.model.parking ROOT MODEL [N_SEQ CTX]`` keeps some turns, is put under pressure while it is
idle, goes on with each turn, and prints as a line of JSON what its memory was and what the turns brought.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import trio

from actorllama import Bus, Config, Model, TurnResult, open_runtime
from actorllama.engine import PressureOptions
from actorllama.engine.events import PRESSURE_ENDED, PRESSURE_WON
from actorllama.native.memory import HOST
from actorllama.runtime import SamplingOptions
from actorllama.telemetry import Event, Measurements, Metadata, record
from actorllama.testing.manual_pressure import ManualPressure

N_SEQ, CTX = 8, 2304
LIMIT = 1_400_000_000  # a tenth of a gigabyte lies between its watermarks: less than the context has
N_TURNS = 3
N_PROMPT = 150
N_TOKENS = 12
CHAIN: SamplingOptions = {"temperature": 0.8, "seed": 11, "repeat_penalty": 1.1}
_WAIT_S = 60.0


class Memory(ManualPressure):
    """Memory of which everything that was won is free afterwards."""

    def __call__(self, event: Event, measured: Measurements, about: Metadata, _config: object) -> None:
        self.free(HOST, int(measured["won_bytes"]))


def resident_bytes() -> int:
    """Count the pages of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return kib << 10


async def live(root: Path, path: Path, n_seq: int = N_SEQ, ctx: int = CTX) -> dict[str, object]:
    """Be asked for memory once, and tell how it went."""
    bus, memory = Bus(), Memory()
    memory.set(used_bytes=LIMIT // 10, limit_bytes=LIMIT)
    bus.attach("memory", PRESSURE_WON, memory, None)
    is_over = trio.Event()

    def note_end(_event: Event, _measured: Measurements, _about: Metadata, _config: object) -> None:
        is_over.set()

    bus.attach("over", PRESSURE_ENDED, note_end, None)
    config = Config(pressure=PressureOptions(sample_interval_s=0.1, interval_s=0.0))
    prompts = [[(17 * turn + 7 * at) % 250 + 8 for at in range(N_PROMPT)] for turn in range(N_TURNS)]
    async with open_runtime(config, bus=bus, state_dir=root, memory_sources=(memory,)) as rt:
        before_load = resident_bytes()
        model = await rt.load("idle", path, n_seq=n_seq, ctx_per_seq=ctx, n_threads=1)
        whole = [await model.complete(prompt, max_tokens=2 * N_TOKENS, **CHAIN) for prompt in prompts]
        kept = [await model.complete(prompt, max_tokens=N_TOKENS, keep=True, **CHAIN) for prompt in prompts]
        loaded = resident_bytes()
        with record(bus, ("engine",)) as heard:
            memory.set(used_bytes=int(LIMIT * 0.92) + 1, limit_bytes=LIMIT)
            with trio.fail_after(_WAIT_S):
                await is_over.wait()
            state = (await model.status()).state
            parked = resident_bytes()
            resumed = [await resume(model, turn) for turn in kept]
        (event,) = heard.of(("engine", "context", "parked"))
        won = [(fact.metadata["step"], fact.measurements["won_bytes"]) for fact in heard.of(PRESSURE_WON)]
        context = await model.status()
        resumed_bytes = resident_bytes()
    return {
        "before_load_bytes": before_load,
        "loaded_bytes": loaded,
        "parked_bytes": parked,
        "resumed_bytes": resumed_bytes,
        "freed_bytes": event.measurements["freed_bytes"],
        "kept_bytes": event.measurements["kept_bytes"],
        "won": won,
        "state": state,
        "n_seq": context.n_seq,
        "exactness": sorted({turn.exactness for turn in resumed}),
        "n_computed": [turn.usage.n_prompt - turn.usage.n_cached for turn in resumed],
        "is_equal": [
            [*first.tokens, *second.tokens] == list(unbroken.tokens)
            for first, second, unbroken in zip(kept, resumed, whole, strict=True)
        ],
    }


async def resume(model: Model, turn: TurnResult) -> TurnResult:
    assert turn.resume_key is not None
    return await model.resume(turn.resume_key, max_tokens=N_TOKENS)


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[3:]]
    found = trio.run(partial(live, Path(sys.argv[1]), Path(sys.argv[2]), *sizes))
    sys.stdout.write(json.dumps(found) + "\n")
