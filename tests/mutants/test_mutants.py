"""A few planted defects with every run of the tests; all of them by ``python tests/mutants/run.py``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load_script() -> ModuleType:
    """Import the script that lies beside this file; scripts are no package."""
    path = Path(__file__).parent / "run.py"
    spec = importlib.util.spec_from_file_location("mutants_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = load_script()


def test_every_edit_fits_the_kernel_as_it_is() -> None:
    for mutant in script.load_mutants():
        for edit in mutant.edits:
            text = (script.ROOT / "actorllama" / edit.path).read_text()
            assert text.count(edit.old) == 1, f"{mutant.name}: {edit.path}: {edit.old}"
            assert edit.old != edit.new


def test_there_are_at_least_twenty_and_the_nine_of_triotp_among_them() -> None:
    mutants = script.load_mutants()
    assert len(mutants) >= 20
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert sum("triotp" in mutant.breaks for mutant in mutants) == 9


def test_the_documented_table_is_that_of_the_mutants() -> None:
    documented = (script.ROOT / "docs" / "mutants.md").read_text().splitlines()
    rows = [line.split("|")[1].strip() for line in documented if line.startswith("| ")]
    assert rows[1:] == [mutant.name for mutant in script.load_mutants()]


@pytest.mark.slow
def test_the_quick_mutants_are_caught() -> None:
    quick = [mutant for mutant in script.load_mutants() if mutant.is_quick]
    assert len(quick) >= 3
    findings = script.run_mutants(quick)
    assert {finding.mutant.name: finding.verdict for finding in findings} == {
        mutant.name: "caught" for mutant in quick
    }


@pytest.mark.slow
def test_a_change_that_is_no_defect_survives_and_a_stale_edit_is_told() -> None:
    harmless = script.Mutant(
        name="harmless",
        breaks="nothing",
        edits=(
            script.Edit(path="actors/mailbox.py", old='"""The mailbox of one', new='"""A mailbox of one'),
        ),
        caught_by=("props/prop_restart.py",),
    )
    stale = script.Mutant(
        name="stale",
        breaks="nothing",
        edits=(script.Edit(path="actors/mailbox.py", old="no such text", new=""),),
        caught_by=(),
    )
    assert [finding.verdict for finding in script.run_mutants([harmless, stale])] == ["survived", "stale"]
