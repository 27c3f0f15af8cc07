"""Makes Markdown of the one form of reStructuredText that docstrings use: ``::`` before an example."""

from __future__ import annotations

import re

import griffe

__all__ = ["LiteralBlocks"]

_ALONE = re.compile(r"^[ \t]*::\n", re.MULTILINE)
_BEHIND_WORDS = re.compile(r"(?<=\S)::$", re.MULTILINE)


class LiteralBlocks(griffe.Extension):
    """Rewrite docstrings when they are read; the indented lines below are a block in Markdown, too."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Take the sign away, or leave one colon of it."""
        if obj.docstring is not None:
            obj.docstring.value = _BEHIND_WORDS.sub(":", _ALONE.sub("", obj.docstring.value))
