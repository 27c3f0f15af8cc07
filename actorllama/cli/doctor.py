"""``actorllama doctor``: is this set-up usable, and what would make it better."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import click
from attrs import asdict

import actorllama
from actorllama.cli.app import App
from actorllama.cli.build_probe import probe_build
from actorllama.cli.checks import Facts, Finding, examine
from actorllama.cli.examples import examples
from actorllama.cli.failures import EXIT_FAILED, EXIT_OK
from actorllama.cli.machine import look_at_machine
from actorllama.cli.model_summary import summarise
from actorllama.cli.packages import packages
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import is_fancy, say, say_json
from actorllama.demo import model_path
from actorllama.errors import ModelLoadError

__all__ = ["command"]

_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "failure": "red"}


@click.command("doctor", params=[JSON], epilog=examples("actorllama doctor", "actorllama doctor --json"))
@click.pass_obj
def command(app: App, *, as_json: bool) -> int:
    """Look at the whole set-up and say what is missing.

    llama.cpp is loaded in a process of its own, so that a broken build is a line of the report. Exits with
    1 if actorllama cannot work here.
    """
    facts = _gather(app)
    findings = examine(facts)
    is_usable = all(finding.verdict != "failure" for finding in findings)
    if as_json:
        answer = asdict(facts) | {"findings": [asdict(one) for one in findings], "is_usable": is_usable}
        say_json(answer)
    else:
        for finding in findings:
            _say(finding)
        say("usable" if is_usable else "not usable: see the failures above")
    return EXIT_OK if is_usable else EXIT_FAILED


def _gather(app: App) -> Facts:
    path = model_path()
    return Facts(
        actorllama_version=actorllama.__version__,
        python_version=platform.python_version(),
        python_path=sys.executable,
        machine=look_at_machine(),
        build=probe_build(),
        packages=packages(),
        demo_model_path=str(path),
        demo_model_error=_error_of(path),
        config_path=None if app.config_path is None else str(app.config_path),
    )


def _error_of(path: Path) -> str | None:
    try:
        summarise(path)
    except ModelLoadError as error:
        return str(error)
    return None


def _say(finding: Finding) -> None:
    verdict = f"{finding.verdict:<7}"
    if is_fancy(sys.stdout):
        verdict = click.style(verdict, fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}  ", nl=False)
    say(f"{finding.topic:<12}  {finding.text}")
    if finding.advice:
        say(f"{'':<23}{finding.advice}")
