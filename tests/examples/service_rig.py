"""Clients of a service that streams server-sent events, and how each of them ended."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import httpx

__all__ = ["EXAMPLES", "Client", "check_outcomes", "load_example", "run_clients"]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
N_CLIENTS = 8
N_LEAVING = 2
N_TOKENS = 48


def load_example(name: str) -> ModuleType:
    """Import one of the programs in docs/examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Client:
    """One client: the text that it got, and its last event."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.last: tuple[str, dict[str, object]] | None = None

    async def read(self, http: httpx.AsyncClient, url: str, query: dict[str, str], *, leaves: bool) -> None:
        """Read events to the end, or go away after the second."""
        kind = ""
        async with http.stream("GET", url, params=query) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data: dict[str, object] = json.loads(value)
                    if kind == "message":
                        self.texts.append(str(data["text"]))
                    else:
                        self.last = (kind, data)
                if leaves and len(self.texts) == 2:
                    return


async def run_clients(url: str) -> list[Client]:
    """Let eight clients read at once; the first two go away in the middle."""
    clients = [Client() for _ in range(N_CLIENTS)]
    async with asyncio.timeout(180), httpx.AsyncClient(timeout=180) as http, asyncio.TaskGroup() as group:
        for index, client in enumerate(clients):
            query = {"prompt": "Once upon a time", "max_tokens": str(N_TOKENS), "seed": str(index)}
            if index < N_LEAVING:
                query["max_tokens"] = "2000"
            group.create_task(client.read(http, url, query, leaves=index < N_LEAVING))
    return clients


def check_outcomes(clients: list[Client]) -> None:
    """Insist that who stayed got all of a turn, and who left nothing more."""
    assert [client.last for client in clients[:N_LEAVING]] == [None] * N_LEAVING
    for client in clients[N_LEAVING:]:
        assert client.last is not None
        kind, data = client.last
        assert kind == "end", data
        assert data["finish_reason"] in ("length", "end")
        assert "".join(client.texts)
