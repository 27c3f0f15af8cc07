"""Who takes part: what was found on this machine, and how to get what was not."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import asdict, evolve, frozen

from actorllama.bench.peers.contestant import Contestant, Setup
from actorllama.bench.peers.line_peer import LinePeer
from actorllama.bench.peers.llama_server import LlamaServer
from actorllama.bench.peers.options import PeersOptions
from actorllama.bench.peers.own_peer import OwnService, order_of, python_environment
from actorllama.bench.peers.python_server import PythonServer

__all__ = ["Entry", "Roster", "find_peers"]

_LLAMA_CHILD: Final = Path(__file__).with_name("llama_child.py")
_PROBE_TIMEOUT_S: Final = 60.0

_ABOUT: Final = {
    "actorllama": "behind a plain trio service, server-sent events; every turn kept in RAM and on disk",
    "actorllama-embedded": "in a program's own process, no transport; every turn kept in RAM and on disk",
    "llama-server": "server-sent events; its prompt cache in RAM; slots saved by its API for a restart",
    "llama-cpp-python": "Llama with LlamaRAMCache in a program's own process; one turn at a time",
    "llama-cpp-python-server": "server-sent events; its RAM cache; text in and out; one turn at a time",
}


@frozen(kw_only=True)
class Entry:
    """One who takes part."""

    name: str
    about: str
    """How it is used."""
    make: Callable[[Setup], Contestant]


@frozen(kw_only=True)
class Roster:
    """All who take part."""

    entries: tuple[Entry, ...]
    missing: tuple[tuple[str, str], ...]
    """Who was asked for and does not: a name, and how to get it."""
    library: Path | None
    """The directory of the libllama that contestants in Python load."""


def find_peers(options: PeersOptions) -> Roster:
    """Look for those that were asked for. Starts an interpreter; takes a second.

    A peer that is not found is told and left out; a path that was given and is not there was refused before.
    """
    server = options.llama_server or _found("llama-server")
    library = options.library or (None if server is None else _library_beside(server))
    python = options.python or Path(sys.executable)
    makers: dict[str, Callable[[Setup], Contestant]] = {
        "actorllama": OwnService,
        "actorllama-embedded": lambda setup: _embedded(setup),
    }
    reasons: dict[str, str] = {}
    if server is None:
        reasons["llama-server"] = (
            "not found: build it from llama-cpp-python's own source (docs/peers.md), give --llama-server PATH"
        )
    else:
        program = server.absolute()
        makers["llama-server"] = lambda setup: LlamaServer(setup, program)
    wanted = [name for name in options.contestants if name.startswith("llama-cpp-python")]
    for name in wanted:
        reason = _python_lacks(python, name, is_random=options.is_random)
        if reason is None:
            makers[name] = _python_maker(name, python)
        else:
            reasons[name] = reason
    return Roster(
        entries=tuple(
            Entry(name=name, about=_ABOUT[name], make=makers[name])
            for name in options.contestants
            if name in makers
        ),
        missing=tuple((name, reasons[name]) for name in options.contestants if name in reasons),
        library=library,
    )


def _found(program: str) -> Path | None:
    path = shutil.which(program)
    return None if path is None else Path(path)


def _library_beside(server: Path) -> Path | None:
    directory = server.resolve().parent
    return directory if list(directory.glob("libllama.*")) else None


def _embedded(setup: Setup) -> LinePeer:
    program = [sys.executable, "-m", "actorllama.bench.peers.own_embedded"]
    return LinePeer(setup, [*program, json.dumps(asdict(order_of(setup)))], python_environment(setup))


def _python_maker(name: str, python: Path) -> Callable[[Setup], Contestant]:
    if name == "llama-cpp-python-server":
        return lambda setup: PythonServer(setup, python)
    return lambda setup: LinePeer(
        evolve(setup),
        [str(python), str(_LLAMA_CHILD), json.dumps(asdict(order_of(setup)))],
        python_environment(setup),
    )


def _python_lacks(python: Path, name: str, *, is_random: bool) -> str | None:
    """Say what an interpreter lacks for a contestant; ``None`` if it has all."""
    if name == "llama-cpp-python-server" and not is_random:
        return "left out: it takes text only, so it is measured with random models only (--shape)"
    needed = ["llama_cpp"]
    if name == "llama-cpp-python-server":
        needed += ["fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings"]
    if python == Path(sys.executable):
        lacking = [module for module in needed if importlib.util.find_spec(module) is None]
    else:
        code = f"import importlib.util as u; print(*[m for m in {needed!r} if u.find_spec(m) is None])"
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, check=False, timeout=_PROBE_TIMEOUT_S
        )
        lacking = done.stdout.split() if done.returncode == 0 else ["python"]
    if not lacking:
        return None
    what = "llama-cpp-python[server]" if name == "llama-cpp-python-server" else "llama-cpp-python"
    return f"not found ({', '.join(lacking)}): {python} -m pip install '{what}', or give --python PATH"
