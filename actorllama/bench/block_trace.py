"""A trace of prompts as hashes of blocks: one JSON object for each request, checked line by line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["BlockTrace", "TracedRequest", "read_block_trace"]

_MAX_TOKENS: Final = 1 << 40


@frozen(kw_only=True)
class TracedRequest:
    """One prompt."""

    n_tokens: int
    blocks: tuple[int, ...]
    """Index of each block, in the order in which the trace first names them; the last may be unfinished."""


@frozen(kw_only=True)
class BlockTrace:
    """Requests in the order in which they came. A block always follows the same block: it is a tree."""

    label: str
    block_tokens: int
    requests: tuple[TracedRequest, ...]
    parents: tuple[int | None, ...]
    """For each block the one before it; shape ``(n_blocks,)``."""

    @property
    def n_blocks(self) -> int:
        """Count the distinct blocks."""
        return len(self.parents)

    @property
    def n_references(self) -> int:
        """Count the blocks of all requests."""
        return sum(len(request.blocks) for request in self.requests)

    @property
    def n_tokens(self) -> int:
        """Count the tokens of all requests."""
        return sum(request.n_tokens for request in self.requests)

    def n_used_once(self) -> int:
        """Count the blocks that only one request has."""
        n_uses = [0] * self.n_blocks
        for request in self.requests:
            for block in request.blocks:
                n_uses[block] += 1
        return n_uses.count(1)


def read_block_trace(path: Path, *, block_tokens: int) -> BlockTrace:
    """Read and check a trace.

    Args:
        path: JSON lines; empty ones are skipped. Each object has ``input_length`` (tokens of the prompt),
            ``hash_ids`` (for each started block of it an integer or a text that names the block and all
            before it), and may have ``timestamp`` (never less than in the line before). All else is ignored.
        block_tokens: Tokens of a block.

    Raises:
        RequestError: The file cannot be read, or a line is not as said; it names line and field.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        reason = exc.strerror or "cannot be read"
        raise RequestError(field="trace", value=str(path), reason=reason) from exc
    return _parse(lines, label=path.name, block_tokens=block_tokens)


def _parse(lines: Iterable[bytes], *, label: str, block_tokens: int) -> BlockTrace:
    index_of: dict[int | str, int] = {}
    parents: list[int | None] = []
    requests: list[TracedRequest] = []
    last_timestamp = -math.inf
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = _object(line, number)
        last_timestamp = _timestamp(fields, number, after=last_timestamp)
        n_tokens = _length(fields, number)
        names = _names(fields, number, n_expected=-(-n_tokens // block_tokens))
        blocks: list[int] = []
        parent: int | None = None
        for name in names:
            block = index_of.setdefault(name, len(parents))
            if block == len(parents):
                parents.append(parent)
            elif parents[block] != parent:
                raise _refusal(
                    number, "hash_ids", name, "follows another block than where it was first named"
                )
            blocks.append(block)
            parent = block
        requests.append(TracedRequest(n_tokens=n_tokens, blocks=tuple(blocks)))
    if not requests:
        raise RequestError(field="trace", value=label, reason="holds no request: give one JSON object a line")
    return BlockTrace(
        label=label, block_tokens=block_tokens, requests=tuple(requests), parents=tuple(parents)
    )


def _object(line: bytes, number: int) -> dict[str, object]:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise _refusal(number, "line", line[:80], "is not JSON") from exc
    if not isinstance(value, dict):
        raise _refusal(number, "line", line[:80], "is not a JSON object")
    return cast("dict[str, object]", value)


def _timestamp(fields: dict[str, object], number: int, *, after: float) -> float:
    value = fields.get("timestamp")
    if value is None:
        return after
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refusal(number, "timestamp", value, "must be a number")
    if value < after:
        raise _refusal(number, "timestamp", value, "is before that of an earlier line")
    return value


def _length(fields: dict[str, object], number: int) -> int:
    value = fields.get("input_length")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_TOKENS:
        raise _refusal(number, "input_length", value, f"must be an integer, 1 to {_MAX_TOKENS}")
    return value


def _names(fields: dict[str, object], number: int, *, n_expected: int) -> list[int | str]:
    value = fields.get("hash_ids")
    if not isinstance(value, list):
        raise _refusal(number, "hash_ids", value, "must be a list")
    names = cast("list[object]", value)
    if len(names) != n_expected:
        reason = f"{len(names)} blocks where input_length makes {n_expected}; see --block-tokens"
        raise _refusal(number, "hash_ids", names[:3], reason)
    checked: list[int | str] = []
    for name in names:
        if isinstance(name, bool) or not isinstance(name, int | str):
            raise _refusal(number, "hash_ids", name, "must hold integers or texts")
        checked.append(name)
    if len(set(checked)) != len(checked):
        raise _refusal(number, "hash_ids", checked[:3], "names a block twice: a hash tells all before it too")
    return checked


def _refusal(number: int, field: str, value: object, reason: str) -> RequestError:
    return RequestError(field=f"line {number}: {field}", value=value, reason=reason)
