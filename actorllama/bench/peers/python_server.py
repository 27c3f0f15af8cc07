"""llama-cpp-python's server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.http_client import Answer, free_port, post
from actorllama.bench.peers.llama_server import wait_until_it_answers
from actorllama.bench.peers.own_peer import python_environment
from actorllama.bench.peers.process_peer import ProcessPeer
from actorllama.errors import EngineError
from actorllama.native.gguf import read_gguf

__all__ = ["PythonServer"]

_N_BYTES: Final = 256
_NEVER: Final = -1e9  # what is added to a logit; JSON has no infinity


class PythonServer(ProcessPeer):
    """llama-cpp-python's server with its RAM cache, asked at ``/v1/completions``.

    It takes and tells text only, and one turn at a time. Of a random model the tokens below 256 are bytes, so
    prompts go as text; replies come as text and are cut into tokens anew in the next prompt.
    Its RAM cache ends with it.

    Owner: the scenario.
    """

    def __init__(self, setup: Setup, python: Path) -> None:
        """Take note of how it is to be started."""
        super().__init__(setup)
        self._python = python
        self._port = 0
        # An end, or bytes of no character, would leave a reply without text, and nothing to measure.
        end = read_gguf(setup.model).metadata.get("tokenizer.ggml.eos_token_id")
        never = (*((end,) if isinstance(end, int) else ()), *setup.banned)
        self._bias = {str(token): _NEVER for token in never}

    async def start(self) -> None:
        """Start it and wait until it lists its model."""
        setup = self._setup
        self._port = await free_port()
        command = [
            *(str(self._python), "-m", "llama_cpp.server", "--model", str(setup.model)),
            *("--host", "127.0.0.1", "--port", str(self._port), "--n_ctx", str(2 * setup.ctx_per_slot)),
            *("--n_threads", str(setup.n_threads), "--n_threads_batch", str(setup.n_threads)),
            *("--logits_all", "false", "--flash_attn", "false", "--interrupt_requests", "false"),
            *("--verbose", "false", "--n_batch", "512"),
        ]
        if setup.ram_cache_bytes:
            command += ["--cache", "true", "--cache_type", "ram", "--cache_size", str(setup.ram_cache_bytes)]
        process = self._begin(command, environment=python_environment(setup))
        await wait_until_it_answers(process, self._port, "/v1/models")

    async def take(self, ask: Ask) -> Taken:
        """Ask for a completion and take its events; who asks meanwhile waits, as the server would have it."""
        body: dict[str, object] = {
            "prompt": bytes(token for token in ask.prompt if token < _N_BYTES).decode(errors="ignore"),
            "max_tokens": ask.n_reply,
            "temperature": 0.0,
            "stream": True,
            "logit_bias": self._bias,
            "logit_bias_type": "input_ids",
        }
        return _taken_of(await post(self._port, "/v1/completions", body), n_prompt=len(ask.prompt))


def _taken_of(answer: Answer, *, n_prompt: int) -> Taken:
    if answer.status != 200:
        answer.json()
    arrivals: list[tuple[float, int]] = []
    text = ""
    for time_s, event in answer.events():
        if event == "[DONE]" or event.startswith(":"):
            continue
        told = json.loads(event)
        if "choices" not in told:
            raise EngineError(f"the server says: {event[:200]}")
        piece = told["choices"][0]["text"]
        if piece:
            arrivals.append((time_s, 1))
            text += piece
    if not arrivals:
        raise EngineError("the server's answer is empty. See its log.")
    return Taken(
        asked_s=answer.asked_s,
        arrivals=tuple(arrivals),
        reply=tuple(text.encode()),
        n_prompt=n_prompt,
        n_computed=None,
    )
