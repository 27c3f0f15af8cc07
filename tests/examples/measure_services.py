"""How fast the FastAPI service is beside the plain trio one: eight clients, two of which disconnect.

``python tests/examples/measure_services.py [--rounds N] [--laps N]``

No test: wall time on a shared machine proves nothing. Only the ratio says something: each round asks both
services for the same turns, one after the other, in an order that alternates. Both run all the time, each
in a process of its own; the one that is not asked is idle.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
N_CLIENTS = 8
N_LEAVING = 2
N_TOKENS = 200
COMMANDS = {
    "trio": [sys.executable, str(EXAMPLES / "trio_service.py")],
    "fastapi": [
        *(sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--log-level", "error"),
        *("fastapi_service:app", "--port"),
    ],
}


async def read(port: int, seed: int, *, leaves: bool) -> int:
    """Read one turn and return its tokens; who leaves does so after the second event, and counts nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/turn?prompt=Once+upon+a+time&max_tokens={N_TOKENS}&seed={seed}"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n".encode())
    body = b""
    while some := await reader.read(65_536):
        body += some
        if leaves and body.count(b"event: message") >= 2:
            break
    writer.close()
    await writer.wait_closed()
    found = re.search(rb"event: end\ndata: .*?\"n_tokens\": (\d+)", body)
    return int(found[1]) if found else 0


async def ask(port: int, n_laps: int) -> float:
    """Return tokens per second of the clients that stay."""
    n_tokens = 0
    began_s = perf_counter()
    for lap in range(n_laps):
        n_tokens += sum(
            await asyncio.gather(
                *(read(port, lap * N_CLIENTS + index, leaves=index < N_LEAVING) for index in range(N_CLIENTS))
            )
        )
    return n_tokens / (perf_counter() - began_s)


async def wait_ready(port: int) -> None:
    """Wait until the service answers."""
    async with asyncio.timeout(120):
        while True:
            try:
                await read(port, 0, leaves=False)
            except ConnectionError:
                await asyncio.sleep(0.1)
            else:
                return


@contextmanager
def serving(name: str, port: int) -> Generator[int, None, None]:
    """Run a service."""
    with subprocess.Popen([*COMMANDS[name], str(port)]) as service:
        try:
            asyncio.run(wait_ready(port))
            yield port
        finally:
            service.terminate()


def main() -> None:
    """Ask both in turn, and say the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--port", type=int, default=18_700, help="the first of two")
    options = parser.parse_args()
    n_laps: int = options.laps
    ratios: list[float] = []
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(serving(name, options.port + n)) for n, name in enumerate(COMMANDS)
        }
        for index in range(options.rounds):
            names = list(ports) if index % 2 == 0 else list(reversed(ports))
            speeds = {name: asyncio.run(ask(ports[name], n_laps)) for name in names}
            ratios.append(speeds["fastapi"] / speeds["trio"])
            line = ", ".join(f"{name} {speeds[name]:.0f}" for name in ports)
            sys.stdout.write(f"round {index + 1}, tokens/s: {line}\n")
            sys.stdout.flush()
    sys.stdout.write(f"fastapi to trio: median of {len(ratios)} ratios {median(ratios):.3f}\n")


if __name__ == "__main__":
    main()
