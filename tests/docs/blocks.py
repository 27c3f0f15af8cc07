"""The fenced blocks of the documents, in order, with what a page says about them."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

__all__ = ["DOCS", "LANGUAGES", "PAGES", "ROOT", "Block", "blocks_of"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
LANGUAGES = {
    "python": "run; the blocks of a page share their names",
    "bash": "run in the page's folder",
    "console": "run line by line and compared; typed at a terminal where it has `> ` lines",
    "text": "what the block before printed",
    "toml": "read as a configuration",
    "json": "read",
    "mermaid": "drawn by the code; tests/runtime/test_reference.py compares",
}
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|file): (?P<words>[^\n]+) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@frozen(kw_only=True)
class Block:
    """One block.

    ``why_not`` is the page's reason for not running it; ``file`` the name under which the reader saves it
    instead of running it. ``None`` where the page says nothing of the kind.
    """

    page: Path
    line: int
    language: str
    text: str
    why_not: str | None
    file: str | None

    def __str__(self) -> str:
        """Say where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> tuple[Block, ...]:
    """Read a page.

    Right above a block may be a line ``<!-- not run: REASON -->`` or ``<!-- file: NAME -->``.
    """
    words = page.read_text(encoding="utf-8")
    return tuple(
        Block(
            page=page,
            line=words.count("\n", 0, found.start("language")) + 1,
            language=found["language"].strip(),
            text=found["text"],
            why_not=found["words"] if found["mark"] == "not run" else None,
            file=found["words"] if found["mark"] == "file" else None,
        )
        for found in _BLOCK.finditer(words)
    )
