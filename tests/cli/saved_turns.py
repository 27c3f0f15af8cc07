"""State directories for the tests of ``actorllama cache``: made-up turns, and turns of the embedded model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import trio
from attrs import frozen

from actorllama import Config, open_runtime
from actorllama.kvcache import Block, Boundary, CacheOptions, DiskTier, Snapshot, StoredEntry, chain_of
from actorllama.kvcache.layout import entry_name
from tests.cli.shell import Done, Invoke

__all__ = ["NAMESPACE", "Cli", "Saved", "file_of", "items", "made_up_turn", "put", "resumed", "save_turns"]

NAMESPACE = "c0ffee"
PROMPT = tuple(3 + index * 5 % 61 for index in range(150))
N_FIRST, N_REST = 12, 20


def made_up_turn(*tokens: int, label: str = "", namespace: str = NAMESPACE) -> tuple[StoredEntry, ...]:
    """Make a turn whose blocks have four tokens, rows before the snapshot; nobody could resume it."""
    chain = chain_of(namespace, tokens[:-1], block_tokens=4)
    parents = (chain.root, *chain.blocks)
    snapshot = Snapshot(
        namespace=namespace,
        tokens=tokens,
        n_prompt=1,
        sampler=b"sampler record",
        block_tokens=4,
        has_boundary=bool(chain.tail),
        created_s=1_790_000_000.0,
        label=label,
    )
    blocks = (
        Block(parent=parents[i], tokens=tokens[4 * i : 4 * i + 4], payload=bytes([i, *tokens]) * 20)
        for i in range(len(chain.blocks))
    )
    boundary = Boundary(parent=chain.parent, tail=chain.tail, payload=bytes(tokens) * 10)
    return (*blocks, *((boundary,) if chain.tail else ()), snapshot)


def put(state: Path, *turns: Sequence[StoredEntry]) -> DiskTier:
    """Publish turns, as a runtime would."""
    state.mkdir(exist_ok=True)
    tier = DiskTier(state / "snapshots", limit_bytes=1 << 30)
    for turn in turns:
        tier.put_all(turn)
    return tier


def file_of(state: Path, entry: StoredEntry) -> Path:
    """Say where an entry's file is."""
    return state / "snapshots" / entry_name(entry)


def items(answer: Mapping[str, object], name: str) -> list[dict[str, object]]:
    """Give a list of objects that an answer holds."""
    assert isinstance(answer[name], list)
    return cast("list[dict[str, object]]", answer[name])


@frozen(kw_only=True)
class Cli:
    """``actorllama cache`` on one state directory."""

    invoke: Invoke
    state: Path

    def __call__(self, name: str, *argv: str, stdin: bytes = b"") -> Done:
        return self.invoke("cache", name, "--state-dir", str(self.state), *argv, stdin=stdin)

    def json(self, name: str, *argv: str, code: int = 0) -> Mapping[str, object]:
        """Run it with ``--json``: standard output is one object, on one line."""
        done = self(name, *argv, "--json")
        assert done.code == code, done.err
        assert done.out.count("\n") == 1
        return cast("Mapping[str, object]", json.loads(done.out))

    def listed(self, *argv: str) -> list[str]:
        """List the keys that ``ls`` shows."""
        return [str(one["key"]) for one in items(self.json("ls", *argv), "entries")]

    def refused(self, name: str, *argv: str, stdin: bytes = b"") -> str:
        """Run it, expect exit code 2 and one line, and give that line."""
        done = self(name, *argv, stdin=stdin)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        return done.err

    def all_files(self) -> dict[str, tuple[int, int]]:
        """Give every file's size and time stamp."""
        files = [path for path in self.state.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    def age(self, entry: StoredEntry, days: float) -> None:
        """Let an entry's last use be so long ago."""
        path = file_of(self.state, entry)
        at_ns = path.stat().st_mtime_ns - int(days * 86400e9)
        os.utime(path, ns=(at_ns, at_ns))


@frozen(kw_only=True)
class Saved:
    """Turns of a model, and what they would have become unbroken."""

    state: Path
    keys: tuple[str, ...]
    rest: tuple[tuple[int, ...], ...]
    """Tokens that come after each."""


def save_turns(state: Path, path: Path | None = None) -> Saved:
    """Keep two turns that begin alike, and compute them unbroken too; ``None`` is the embedded model."""

    async def work() -> Saved:
        keys: list[str] = []
        rest: list[tuple[int, ...]] = []
        async with open_runtime(state_dir=state) as rt:
            model = await rt.load("any", path, n_threads=1, n_seq=2, ctx_per_seq=512)
            for last in (7, 8):
                prompt = (*PROMPT, last)
                whole = await model.complete(prompt, max_tokens=N_FIRST + N_REST, temperature=0.7, seed=5)
                kept = await model.complete(prompt, max_tokens=N_FIRST, temperature=0.7, seed=5, keep=True)
                assert kept.resume_key is not None
                assert whole.tokens[:N_FIRST] == kept.tokens
                keys.append(kept.resume_key)
                rest.append(whole.tokens[N_FIRST:])
        return Saved(state=state, keys=tuple(keys), rest=tuple(rest))

    return trio.run(work)


def resumed(
    state: Path, key: str, path: Path | None = None, *, meanwhile: Callable[[], None] = lambda: None
) -> tuple[tuple[int, ...], int]:
    """Resume a turn in a fresh runtime; give its tokens, and how many cells were not computed again.

    ``meanwhile`` is called when the runtime has looked at its disk, and before it reads the turn.
    """

    async def work() -> tuple[tuple[int, ...], int]:
        config = Config(cache=CacheOptions(prefetch_bytes=0))
        async with open_runtime(config, state_dir=state) as rt:
            model = await rt.load("any", path, n_threads=1, n_seq=3, ctx_per_seq=512)
            await trio.to_thread.run_sync(meanwhile)
            result = await model.resume(key, max_tokens=N_REST, keep=False)
            return result.tokens, result.usage.n_cached

    return trio.run(work)
