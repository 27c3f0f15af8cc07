"""How fast the FastAPI service is beside the plain trio one: eight clients, two of which disconnect.

``python -m tests.examples.measure_services [--starts N] [--rounds N] [--turns N] [--tokens N] [--model M]``

No test: wall time on a shared machine proves nothing. Only the ratios say something: each round asks both
services for the same turns, one after the other, in an order that alternates. Both run all the time, each
in a process of its own; the one that is not asked is idle. The clients are sockets in this process, and
what they cost is told: where it comes near a whole processor, the clients are what was measured. Two
processes of one program differ by up to 5 % for as long as they live: hence several starts.

The model of shape 15m has the speed of the smallest ones in use. With the demo model, a toy, a request of 60
tokens lasts 10 ms, and what a framework does for a request shows: ``--model demo --turns 48 --tokens 200``.
"""

from __future__ import annotations

import argparse
import os
import re
import selectors
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import clock_gettime, monotonic, perf_counter, process_time, sleep

from attrs import frozen

from actorllama.bench.shapes import SHAPES, shape_path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
N_CLIENTS = 8
LEAVES = (True, False, False, False)  # one client in four goes away after its second event
COMMANDS = {
    "trio": [sys.executable, str(EXAMPLES / "trio_service.py")],
    "fastapi": [
        *(sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--log-level", "error"),
        *("--no-access-log", "fastapi_service:app", "--port"),
    ],
}
_END = re.compile(rb"event: end\ndata: .*?\"n_tokens\": (\d+)")
_START_S = 120


@frozen(kw_only=True)
class Lap:
    """What one service did for its clients."""

    n_tokens: int
    """Of the turns that were read to their end."""
    n_events: int
    wall_s: float
    service_cpu_s: float
    client_cpu_s: float

    @property
    def tokens_per_s(self) -> float:
        return self.n_tokens / self.wall_s


class Service:
    """One service in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._clock = (~process.pid << 3) | 2  # Linux: the processor time of a process, its ended threads too

    def cpu_s(self) -> float:
        """Return the processor time that it has used so far, of all its threads."""
        return clock_gettime(self._clock)

    def ask(self, *, n_turns: int, n_tokens: int) -> Lap:
        """Take so many turns, eight at a time; who leaves counts nothing."""
        began_s, began_cpu_s, began_own_s = perf_counter(), self.cpu_s(), process_time()
        got = list(self._answers(n_turns=n_turns, n_tokens=n_tokens))
        return Lap(
            n_tokens=sum(n for n, _ in got),
            n_events=sum(n for _, n in got),
            wall_s=perf_counter() - began_s,
            service_cpu_s=self.cpu_s() - began_cpu_s,
            client_cpu_s=process_time() - began_own_s,
        )

    def _answers(self, *, n_turns: int, n_tokens: int) -> Iterator[tuple[int, int]]:
        """Give tokens and events of each turn that was read to its end."""
        seeds = iter(range(n_turns))
        with selectors.DefaultSelector() as selector:
            for seed in seeds:
                self._open(selector, seed, n_tokens)
                if len(selector.get_map()) == N_CLIENTS:
                    break
            while selector.get_map():
                for key, _ in selector.select(timeout=180):
                    client = key.fileobj
                    assert isinstance(client, socket.socket)
                    turn: tuple[int, bytearray] = key.data
                    seed, body = turn
                    some = client.recv(1 << 16)
                    body += some
                    is_leaving = LEAVES[seed % len(LEAVES)] and body.count(b"event: message") >= 2
                    if some and not is_leaving:
                        continue
                    selector.unregister(client)
                    client.close()
                    if not is_leaving:
                        found = _END.search(body)
                        assert found is not None, body[-200:]
                        yield int(found[1]), body.count(b"event: message")
                    following = next(seeds, None)
                    if following is not None:
                        self._open(selector, following, n_tokens)

    def _open(self, selector: selectors.BaseSelector, seed: int, n_tokens: int) -> None:
        client = socket.create_connection(("127.0.0.1", self.port))
        path = f"/turn?prompt=Once+upon+a+time&max_tokens={n_tokens}&seed={seed}"
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n".encode())
        selector.register(client, selectors.EVENT_READ, (seed, bytearray()))


@contextmanager
def serving(name: str, port: int, model: str) -> Generator[Service, None, None]:
    """Run a service with the demo model, a random one of a shape, or a file."""
    environment = {one: value for one, value in os.environ.items() if one != "MODEL"}
    if model != "demo":
        environment["MODEL"] = str(shape_path(model)) if model in SHAPES else model
    with subprocess.Popen([*COMMANDS[name], str(port)], env=environment) as process:
        try:
            service = Service(process, port)
            until_s = monotonic() + _START_S
            while True:
                try:
                    service.ask(n_turns=N_CLIENTS, n_tokens=8)
                except ConnectionError:
                    assert monotonic() < until_s, f"{name} does not answer"
                    sleep(0.1)
                else:
                    break
            yield service
        finally:
            process.terminate()


def told(name: str, ratios: list[float]) -> str:
    """Say the middle and the spread of what the rounds gave."""
    low, _, high = quantiles(ratios, n=4)
    return (
        f"{name}: median {median(ratios):.3f} of {len(ratios)} rounds, half of them {low:.3f} to {high:.3f}\n"
    )


def main() -> None:
    """Ask both in turn, and say the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=4, help="of both services")
    parser.add_argument("--rounds", type=int, default=4, help="of each start")
    parser.add_argument("--turns", type=int, default=24, help="of each round and service")
    parser.add_argument("--tokens", type=int, default=100, help="of a turn at most")
    parser.add_argument("--port", type=int, default=18_700, help="the first of two")
    parser.add_argument("--model", default="15m", help=f"demo, a shape ({', '.join(SHAPES)}), or a GGUF file")
    options = parser.parse_args()
    laps: dict[str, list[Lap]] = {name: [] for name in COMMANDS}
    for start in range(options.starts):
        with ExitStack() as stack:
            services = {
                name: stack.enter_context(serving(name, options.port + n, options.model))
                for n, name in enumerate(COMMANDS)
            }
            for index in range(options.rounds):
                for name in services if index % 2 == 0 else reversed(services):
                    laps[name].append(services[name].ask(n_turns=options.turns, n_tokens=options.tokens))
                line = "; ".join(
                    f"{name} {lap.tokens_per_s:.0f} tokens/s, {lap.n_tokens / lap.n_events:.1f} a piece, "
                    f"{1e6 * lap.service_cpu_s / lap.n_tokens:.0f} us of processor each, "
                    f"clients {lap.client_cpu_s / lap.wall_s:.0%}"
                    for name, (*_, lap) in laps.items()
                )
                sys.stdout.write(f"start {start + 1}, round {index + 1}: {line}\n")
                sys.stdout.flush()
    pairs = list(zip(laps["fastapi"], laps["trio"], strict=True))
    sys.stdout.write(told("fastapi to trio, tokens/s", [a.tokens_per_s / b.tokens_per_s for a, b in pairs]))
    cpu = [a.service_cpu_s / a.n_tokens / (b.service_cpu_s / b.n_tokens) for a, b in pairs]
    sys.stdout.write(told("fastapi to trio, processor time", cpu))


if __name__ == "__main__":
    main()
