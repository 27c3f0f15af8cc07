"""actorllama as a contestant: behind a plain trio service."""

from __future__ import annotations

import json
import sys

from attrs import asdict

from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.http_client import free_port, get_json, post
from actorllama.bench.peers.llama_server import taken_of, wait_until_it_answers
from actorllama.bench.peers.memory import MemoryUse, memory_of
from actorllama.bench.peers.own import OwnOrder
from actorllama.bench.peers.process_peer import ProcessPeer

__all__ = ["OwnService", "order_of", "python_environment"]


class OwnService(ProcessPeer):
    """actorllama in a process of its own, asked over HTTP as llama-server is.

    Every turn is kept, in RAM and on disk: nothing is to be done before a restart, nor after it.

    Owner: the scenario.
    """

    def __init__(self, setup: Setup) -> None:
        """Take note of how it is to be started."""
        super().__init__(setup)
        self._port = 0

    async def start(self) -> None:
        """Start the service and wait until it answers."""
        self._port = await free_port()
        program = [sys.executable, "-m", "actorllama.bench.peers.own_service"]
        command = [*program, str(self._port), json.dumps(asdict(order_of(self._setup)))]
        process = self._begin(command, environment=python_environment(self._setup))
        await wait_until_it_answers(process, self._port, "/health")

    async def take(self, ask: Ask) -> Taken:
        """Ask for a completion and take its events."""
        body: dict[str, object] = {"prompt": list(ask.prompt), "n_predict": ask.n_reply, "after": ask.after}
        return taken_of(await post(self._port, "/completion", body))

    async def memory(self) -> MemoryUse:
        """Read what the process takes, its cache told apart."""
        cache = await get_json(self._port, "/cache")
        return memory_of(self.pid, cache_bytes=int(str(cache["n_bytes"])))


def order_of(setup: Setup) -> OwnOrder:
    """Say it in the words of the process."""
    return OwnOrder(
        model=str(setup.model),
        n_slots=setup.n_slots,
        ctx_per_slot=setup.ctx_per_slot,
        n_threads=setup.n_threads,
        ram_cache_bytes=setup.ram_cache_bytes,
        n_banned=setup.n_banned,
        is_bare=setup.is_bare,
        saved=str(setup.saved) if setup.ram_cache_bytes else None,
    )


def python_environment(setup: Setup) -> dict[str, str]:
    """Have llama-cpp-python load the library that all share."""
    return {} if setup.library is None else {"LLAMA_CPP_LIB_PATH": str(setup.library)}
