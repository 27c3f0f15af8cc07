"""The command ``actorllama``: parse, call the runtime, print.

**What lives here.** ``entry.py``: `main`, which turns every outcome into an exit code. ``root.py``: the
group and its global options. One module per command (``run``, ``chat``, ``info``, ``models``, ``doctor``,
``tree``, ``top``, ``bench``, ``configuration``), a package for the large one (``console/``), and what they
share: ``screen.py`` (the only place that writes), ``parameters.py`` (options that several commands have),
``interrupts.py`` (Ctrl-C and SIGTERM).

**Who owns it and what always holds.** A command owns the process while it runs. Answers go to standard
output, everything else to standard error; with ``--json``, standard output carries exactly one JSON object
(``top``, which goes on, one a line). No escape code is written to what is not a terminal, or where
``NO_COLOR`` is set. Exit codes: 0 it worked, 1 it failed and the input is not to blame, 2 the input cannot
be used (one line says why), 130 Ctrl-C, 141 the reader went away, 143 SIGTERM. No traceback, unless
``--log-level debug``.

**What it may import.** Every room below. Heavy modules (trio, rich, prompt_toolkit, the runtime) are
imported by the function that needs them: ``actorllama --help`` must not wait for what it does not use.
llama_cpp is only ever loaded by the runtime, or by ``doctor`` in a process of its own.

**Why this way, and what we refused.** click's standalone mode prints usage errors on several lines and
decides exit codes itself; ours is one line and one table. We refused to install trio's own handling of
Ctrl-C: a `KeyboardInterrupt` can surface anywhere, a cancelled scope only where the command expects it.

**Read next.** ``entry.py``, then ``run.py``.
"""

from __future__ import annotations

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: The arguments after the command's name; those of the process where ``None``.

    Returns:
        The exit code, as listed above. No exception leaves this function.
    """
    try:
        # Imported here, so that a Ctrl-C meanwhile is no traceback.
        from actorllama.cli.entry import run_line
    except KeyboardInterrupt:
        return 130
    return run_line(argv)
