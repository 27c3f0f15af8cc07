"""llama-server, the server that comes with llama.cpp."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.http_client import Answer, free_port, get_json, post, post_json
from actorllama.bench.peers.process import PeerProcess
from actorllama.bench.peers.process_peer import ProcessPeer
from actorllama.errors import EngineError

__all__ = ["LlamaServer", "taken_of", "wait_until_it_answers"]

_START_TIMEOUT_S: Final = 180.0
_POLL_S: Final = 0.02


class LlamaServer(ProcessPeer):
    """llama-server with a slot for each conversation side by side, asked at ``/completion``.

    Its cache of prompts in RAM is on, with the budget that all contestants have. Before a restart the slots
    are saved through its API, and fetched again by it afterwards.

    Owner: the scenario.
    """

    def __init__(self, setup: Setup, program: Path) -> None:
        """Take note of how it is to be started."""
        super().__init__(setup)
        self._program = program
        self._port = 0

    def command(self, port: int) -> list[str]:
        """Give the command line that it is started with."""
        setup = self._setup
        mebibytes = math.ceil(setup.ram_cache_bytes / (1 << 20))
        return [
            str(self._program),
            *("--model", str(setup.model), "--host", "127.0.0.1", "--port", str(port)),
            *("--parallel", str(setup.n_slots), "--ctx-size", str(setup.n_slots * setup.ctx_per_slot)),
            *("--threads", str(setup.n_threads), "--threads-batch", str(setup.n_threads)),
            *("--ubatch-size", "512", "--cache-type-k", "f16", "--cache-type-v", "f16"),
            *("--flash-attn", "off", "--no-kv-unified", "--cache-ram", str(mebibytes)),
            *("--slot-save-path", str(setup.saved), "--no-webui"),
        ]

    async def start(self) -> None:
        """Start it and wait until it is healthy."""
        self._port = await free_port()
        process = self._begin(self.command(self._port), environment={})
        await wait_until_it_answers(process, self._port, "/health")

    async def take(self, ask: Ask) -> Taken:
        """Ask for a completion and take its events."""
        body: dict[str, object] = {
            "prompt": list(ask.prompt),
            "n_predict": ask.n_reply,
            "temperature": 0.0,
            "ignore_eos": True,
            "logit_bias": [[token, False] for token in self._setup.banned],
            "return_tokens": True,
            "stream": True,
        }
        if ask.slot is not None:
            body["id_slot"] = ask.slot
        return taken_of(await post(self._port, "/completion", body))

    async def settle(self, slots: Sequence[int]) -> None:
        """Save these slots."""
        for slot in slots:
            await post_json(self._port, f"/slots/{slot}?action=save", {"filename": f"{slot}.bin"})

    async def bring_back(self, slot: int) -> None:
        """Restore a slot that was saved."""
        await post_json(self._port, f"/slots/{slot}?action=restore", {"filename": f"{slot}.bin"})


async def wait_until_it_answers(process: PeerProcess, port: int, path: str) -> None:
    """Ask a server until it answers that all is well.

    Raises:
        EngineError: It ended, or has not begun after three minutes.
    """
    with trio.move_on_after(_START_TIMEOUT_S):
        while True:
            process.check()
            try:
                await get_json(port, path)
            except EngineError:
                await trio.sleep(_POLL_S)
            else:
                return
    raise EngineError(f"the server did not begin within {_START_TIMEOUT_S:.0f} s: {process.last_words()}")


def taken_of(answer: Answer) -> Taken:
    """Read the events of ``/completion``.

    Raises:
        EngineError: The server refused, or its answer has no end.
    """
    if answer.status != 200:
        answer.json()
    arrivals: list[tuple[float, int]] = []
    reply: list[int] = []
    n_told = 0
    for time_s, text in answer.events():
        event = json.loads(text)
        if "error" in event:
            raise EngineError(f"the server says: {event['error']}")
        if event.get("stop"):
            timings = event["timings"]
            reply += event["tokens"]
            return Taken(
                asked_s=answer.asked_s,
                arrivals=tuple(arrivals),
                reply=tuple(reply),
                n_prompt=int(event["tokens_evaluated"]),
                n_computed=int(timings["prompt_n"]),
                key=event.get("key"),
            )
        n_told, n_before = int(event["tokens_predicted"]), n_told
        if n_told > n_before:
            arrivals.append((time_s, n_told - n_before))
        reply += event["tokens"]
    raise EngineError("the server's answer ended early. See its log.")
