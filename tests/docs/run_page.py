"""Run the blocks of one page in a process of their own; ``python run_page.py PAGE`` does it in this folder.

What is a program is executed, with one namespace for the page; what is for a shell goes to bash. Each
block's output is compared with the ``text`` block behind it, or, in a ``console`` block, with what stands
under the command. ``...`` in an expected line stands for anything, and alone on a line for any lines.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.blocks import Block, blocks_of

__all__ = ["is_typed", "matches", "run_page"]

_TIMEOUT_S = 300


def run_page(page: Path) -> int:
    """Run all blocks in order and return how many were run.

    Raises:
        AssertionError: A block did not do what the page says.
        Exception: And whatever a program raises; its place in the page is in the traceback.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    n_run = 0
    printed: str | None = None
    for block in blocks_of(page):
        if block.why_not is not None or is_typed(block):
            continue
        match block.language:
            case _ if block.file is not None:
                Path(block.file).write_text(block.text, encoding="utf-8")
            case "python":
                printed = _run_program(block, names)
            case "bash":
                printed = _run_shell(block.text)
            case "console":
                _run_dialogue(block)
                printed = None
            case "text":
                assert printed is not None, f"{block}: no block before it has printed anything"
                assert matches(block.text, printed), f"{block}: printed was\n{printed}"
                printed = None
            case _:
                continue
        n_run += 1
    return n_run


def is_typed(block: Block) -> bool:
    """Tell a dialogue at a terminal, which `test_typed` plays, from commands of a shell."""
    return block.language == "console" and re.search(r"^> ", block.text, re.MULTILINE) is not None


def matches(expected: str, printed: str) -> bool:
    """Compare line by line, blanks at their ends aside."""
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == "..." else f"{_line_pattern(line)}\n"
        for line in expected.rstrip().splitlines()
    )
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _line_pattern(line: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("..."))


def _run_program(block: Block, names: dict[str, object]) -> str:
    # Empty lines in front: a traceback then names the line of the page.
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, names)
    return out.getvalue()


def _run_shell(command: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\nended with {done.returncode} and printed\n{done.stdout}"
    return done.stdout


def _run_dialogue(block: Block) -> None:
    head, *commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not head, f"{block}: begins without a command"
    for command in commands:
        line, _, expected = command.partition("\n")
        printed = _run_shell(line)
        assert matches(expected, printed), f"{block}: {line}\nprinted\n{printed}"


if __name__ == "__main__":
    assert run_page(Path(sys.argv[1])) > 0
