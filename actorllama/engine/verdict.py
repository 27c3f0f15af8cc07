"""What a context's canary said, and where the answer is kept so that it need not be asked again."""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from attrs import asdict, evolve, frozen

from actorllama.engine.canary import Check, Exactness, OnHost, known_limits, level_of, run_canary
from actorllama.native import ContextFacts, InferenceContext

__all__ = ["Source", "Verdict", "find_verdict"]

Source: TypeAlias = Literal["canary", "remembered", "by nature", "not asked"]
"""How a verdict came about: tried now, tried by an earlier load, known of the backend, or nobody asked."""

_VERSION = 2
_FILE_BYTES_MAX = 1 << 16


@frozen(kw_only=True)
class Verdict:
    """The level that holds in a context, and the evidence."""

    level: Exactness
    checks: tuple[Check, ...] = ()
    pads_lone_rows: bool = False
    """Whether the level holds only if no row is ever computed alone (`EngineLoop`)."""
    source: Source
    problem: str = ""
    """Why the answer could not be kept for the next load; empty if it was, or need not be."""


def find_verdict(
    *,
    context: InferenceContext,
    namespace: str,
    on_host: OnHost,
    is_asked: bool,
    budget_s: float,
    directory: Path | None,
) -> Verdict:
    """Say which level holds: remembered if it was tried before on equal terms, else tried now; blocks.

    A context that nobody tried is ``faithful``: what is not known is not promised.

    Args:
        context: Empty, and used by nobody yet.
        namespace: Of the context's states.
        on_host: How to reach the thread that owns the context.
        is_asked: Whether to try at all.
        budget_s: Seconds that trying may take, roughly.
        directory: Where answers are kept; ``None`` is nowhere.
    """
    facts = context.facts
    if facts.is_exact_by_nature:
        return Verdict(level="exact", source="by nature")
    if not is_asked:
        return Verdict(level="faithful", source="not asked")
    path = None if directory is None else directory / f"{_key(namespace, facts, budget_s)}.json"
    known = None if path is None else _read(path)
    if known is not None:
        return known
    report = run_canary(context, on_host=on_host, budget_s=budget_s)
    checks = (*report.checks, *known_limits(facts))
    verdict = Verdict(
        level=level_of(checks), checks=checks, pads_lone_rows=report.pads_lone_rows, source="canary"
    )
    return verdict if path is None else evolve(verdict, problem=_write(path, verdict))


def _key(namespace: str, facts: ContextFacts, budget_s: float) -> str:
    terms = {
        "version": _VERSION,
        "namespace": namespace,
        "n_seq": facts.n_seq,
        "ctx_per_seq": facts.ctx_per_seq,
        "n_batch": facts.n_batch,
        "n_threads": facts.n_threads,
        "budget_s": budget_s,
    }
    return blake2b(
        json.dumps(terms, sort_keys=True).encode(), digest_size=16, person=b"ALverdict"
    ).hexdigest()


def _write(path: Path, verdict: Verdict) -> str:
    rows = [asdict(check) for check in verdict.checks]
    facts = {"version": _VERSION, "pads_lone_rows": verdict.pads_lone_rows, "checks": rows}
    beside = path.with_name(f"{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside.write_text(json.dumps(facts), encoding="utf-8")
        beside.replace(path)
    except OSError as exc:
        return str(exc)
    return ""


def _read(path: Path) -> Verdict | None:
    """Read an answer back; one that is not there, or is not ours, is asked again."""
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            return None
        facts: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict):
        return None
    answer = cast("dict[str, object]", facts)
    rows, pads = answer.get("checks"), answer.get("pads_lone_rows")
    if answer.get("version") != _VERSION or not isinstance(rows, list) or not rows:
        return None
    if not isinstance(pads, bool):
        return None
    found = [_check(row) for row in cast("list[object]", rows)]
    checks = tuple(check for check in found if check is not None)
    if len(checks) < len(found):
        return None
    return Verdict(level=level_of(checks), checks=checks, pads_lone_rows=pads, source="remembered")


def _check(row: object) -> Check | None:
    if not isinstance(row, dict):
        return None
    fields = cast("dict[str, object]", row)
    name, passed = fields.get("name"), fields.get("passed")
    detail, decides = fields.get("detail"), fields.get("decides")
    if not (isinstance(name, str) and isinstance(passed, bool) and isinstance(detail, str)):
        return None
    if decides not in get_args(Exactness):
        return None
    return Check(name=name, passed=passed, detail=detail, decides=cast("Exactness", decides))
