"""Run a command line and turn whatever comes of it into an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from actorllama.cli.app import App
from actorllama.cli.failures import (
    EXIT_BROKEN_PIPE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    describe,
    exit_code_of,
    leaf_of,
    one_line,
)
from actorllama.cli.root import root
from actorllama.cli.screen import note

__all__ = ["run_line"]


def run_line(argv: Sequence[str] | None) -> int:
    """Do what `actorllama.cli.main` promises."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a reply must not fail on a terminal's encoding
    seen: list[click.Context] = []
    try:
        code = _invoke(list(sys.argv[1:] if argv is None else argv), seen)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        return _refuse(error)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BaseExceptionGroup as group:
        return _fail(leaf_of(group), group, seen)
    except Exception as error:  # noqa: BLE001 - the end of the line: whatever it is becomes one line
        return _fail(error, error, seen)
    return code


def _invoke(arguments: list[str], seen: list[click.Context]) -> int:
    with root.make_context("actorllama", arguments) as context:
        seen.append(context)
        code: object = root.invoke(context)
        return code if isinstance(code, int) else EXIT_OK


def _refuse(error: click.ClickException) -> int:
    """Tell a usage error in one line; click would take three."""
    asking = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "actorllama"
    note(f"actorllama: {error.format_message()} See '{asking} --help'.")
    return error.exit_code


def _fail(leaf: BaseException, whole: BaseException, seen: list[click.Context]) -> int:
    if isinstance(leaf, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(leaf, OSError):
        _abandon_stdout()
    if isinstance(leaf, BrokenPipeError):
        return EXIT_BROKEN_PIPE
    app = next((context.obj for context in seen if isinstance(context.obj, App)), None)
    if app is not None and app.is_debugging:
        click.echo("".join(traceback.format_exception(whole)), err=True, nl=False)
    if isinstance(leaf, click.ClickException):
        return _refuse(leaf)
    with contextlib.suppress(OSError):  # standard error may be the pipe that broke
        note(f"actorllama: {one_line(describe(leaf))}")
    return exit_code_of(leaf)


def _abandon_stdout() -> None:
    """Let what is still buffered go nowhere: the interpreter would complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
