"""Plant each defect of the table into a copy of the kernel and see whether the tests notice.

``python tests/mutants/run.py [--quick] [--write-docs] [NAME...]``; exit status 1 if one survives or is stale.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NotRequired, TypeAlias, TypedDict, cast

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).resolve().parent / "mutants.toml"

Verdict: TypeAlias = Literal["caught", "survived", "stale", "broken"]

_N_WORKERS = 2
_TIMEOUT_S = 300
_DOCS = ROOT / "docs" / "mutants.md"


class EditRecord(TypedDict):
    """An edit as it stands in the table."""

    path: str
    old: str
    new: str


class MutantRecord(TypedDict):
    """A mutant as it stands in the table."""

    name: str
    breaks: str
    is_quick: NotRequired[bool]
    caught_by: list[str]
    edits: list[EditRecord]


@frozen(kw_only=True)
class Edit:
    """Replace ``old``, which occurs exactly once in ``path`` below ``actorllama/``, by ``new``."""

    path: str
    old: str
    new: str


@frozen(kw_only=True)
class Mutant:
    """One defect: the rule that it breaks, how it is planted, and the tests of which one must fail."""

    name: str
    breaks: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    is_quick: bool = False


@frozen(kw_only=True)
class Finding:
    """What became of one mutant; ``caught_by`` is the first test that failed."""

    mutant: Mutant
    verdict: Verdict
    caught_by: str
    seconds: float


def load_mutants(table: Path = TABLE) -> tuple[Mutant, ...]:
    """Read the table."""
    records = cast("list[MutantRecord]", tomllib.loads(table.read_text())["mutants"])
    return tuple(
        Mutant(
            name=record["name"],
            breaks=record["breaks"],
            is_quick=record.get("is_quick", False),
            caught_by=tuple(record["caught_by"]),
            edits=tuple(Edit(**edit) for edit in record["edits"]),
        )
        for record in records
    )


def run_mutants(mutants: Sequence[Mutant], *, root: Path = ROOT) -> list[Finding]:
    """Run each mutant in a copy of its own, two at a time; findings in the order of the mutants."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(_N_WORKERS) as pool:
        places = [Path(folder) / str(index) for index in range(len(mutants))]
        return list(pool.map(_run_one, mutants, [root] * len(mutants), places))


def check_baseline(mutants: Iterable[Mutant], *, root: Path = ROOT) -> Finding:
    """Run every detector on an unchanged copy: a detector that fails anyway catches nothing."""
    detectors = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.caught_by))
    nothing = Mutant(
        name="(no defect)", breaks="nothing: the detectors must pass", edits=(), caught_by=detectors
    )
    return run_mutants([nothing], root=root)[0]


def _run_one(mutant: Mutant, root: Path, place: Path) -> Finding:
    began_s = time.perf_counter()
    _copy(root, place)
    stale = _plant(mutant, place)
    if stale:
        return Finding(mutant=mutant, verdict="stale", caught_by=stale, seconds=0)
    verdict, caught_by = _detect(mutant, place)
    shutil.rmtree(place)
    return Finding(mutant=mutant, verdict=verdict, caught_by=caught_by, seconds=time.perf_counter() - began_s)


def _copy(root: Path, place: Path) -> None:
    """Copy what the detectors import; not the models in the package."""
    unwanted = shutil.ignore_patterns("*.gguf", "*.jsonl", "__pycache__", "mutants")
    for name in ("actorllama", "props", "tests"):
        shutil.copytree(root / name, place / name, ignore=unwanted)
    shutil.copy(root / "pyproject.toml", place)


def _plant(mutant: Mutant, place: Path) -> str:
    """Edit the copy; return what is wrong with the edit, or nothing."""
    for edit in mutant.edits:
        path = place / "actorllama" / edit.path
        text = path.read_text()
        if text.count(edit.old) != 1:
            return f"{edit.path} has {text.count(edit.old)} times: {edit.old.strip().splitlines()[0]}"
        path.write_text(text.replace(edit.old, edit.new))
    return ""


def _detect(mutant: Mutant, place: Path) -> tuple[Verdict, str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "mutants", "PYTHONPATH": str(place)}
    try:
        done = subprocess.run(
            [*command, *mutant.caught_by],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "broken", f"still running after {_TIMEOUT_S} s"
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == 0:
        return "survived", ""
    if done.returncode == 1 and failed:
        return "caught", failed[0].rsplit("::", 1)[-1]
    return "broken", done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-200:]


def as_markdown(findings: Iterable[Finding]) -> str:
    """Write the table that the documentation shows."""
    lines = [
        "# Mutants",
        "",
        "Defects that `tests/mutants/run.py` plants into a copy of the actor kernel, and the property or",
        "test that notices each. Written by `python tests/mutants/run.py --write-docs`, which fails if one",
        "survives. `triotp` marks the nine defects that were found in the older library of that name.",
        "",
        "| defect | rule that it breaks | caught by |",
        "|---|---|---|",
    ]
    lines += [f"| {found.mutant.name} | {found.mutant.breaks} | `{found.caught_by}` |" for found in findings]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="run only mutants whose name contains one of these")
    parser.add_argument("--quick", action="store_true", help="run the subset of the ordinary tests")
    parser.add_argument("--write-docs", action="store_true", help="write docs/mutants.md")
    asked = parser.parse_args(arguments)
    mutants = [
        mutant
        for mutant in load_mutants()
        if (not asked.quick or mutant.is_quick)
        and (not asked.names or any(name in mutant.name for name in asked.names))
    ]
    baseline = check_baseline(mutants)
    if baseline.verdict != "survived":
        sys.stdout.write(f"the detectors fail without any defect: {baseline.caught_by}\n")
        return 1
    findings = run_mutants(mutants)
    for finding in findings:
        sys.stdout.write(
            f"{finding.verdict:9}{finding.seconds:6.1f} s  {finding.mutant.name}  [{finding.caught_by}]\n"
        )
    n_caught = sum(finding.verdict == "caught" for finding in findings)
    sys.stdout.write(f"{n_caught} of {len(findings)} caught\n")
    if asked.write_docs and n_caught == len(findings):
        _DOCS.parent.mkdir(exist_ok=True)
        _DOCS.write_text(as_markdown(findings))
    return 0 if n_caught == len(findings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
