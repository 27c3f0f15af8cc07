"""A chat template as jinja2 compiles and runs it, and what it may do wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from jinja2 import Template, TemplateError, TemplateSyntaxError

from actorllama.engine.chat_sandbox import ChatSandbox
from actorllama.errors import ChatTemplateError

__all__ = ["ChatCode"]

MAX_PROMPT_CHARS: Final = 16_000_000
"""Four times what fits into a context of a million tokens."""

# What a template can raise without Jinja wrapping it: it computes, indexes and calls as it likes.
_TEMPLATE_FAULTS: Final = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class ChatCode:
    """A template that was compiled once and runs in a sandbox of its own each time, on any thread."""

    def __init__(self, source: str, *, now: Callable[[], datetime]) -> None:
        """Compile a template; ``now`` is the clock that it may read.

        Raises:
            ChatTemplateError: It is not valid Jinja.
        """
        self._now = now
        try:
            self._code = self._sandbox().compile(source, name="chat template", filename="<chat template>")
        except TemplateSyntaxError as error:
            raise ChatTemplateError(reason=f"line {error.lineno} is not valid: {error.message}") from error
        except (RecursionError, MemoryError, SyntaxError, ValueError) as error:
            raise ChatTemplateError(reason="it is nested too deeply to be compiled") from error

    def run(self, variables: Mapping[str, object]) -> str:
        """Write what the template makes of these variables.

        Raises:
            ChatTemplateError: It refused them, failed, or put out more than a prompt can be.
        """
        sandbox = self._sandbox()
        template = Template.from_code(sandbox, self._code, sandbox.make_globals(sandbox.functions))
        try:
            return _joined(template.generate(variables))
        except _TEMPLATE_FAULTS as error:
            raise ChatTemplateError(reason=_reason(error)) from error

    def _sandbox(self) -> ChatSandbox:
        return ChatSandbox(max_chars=MAX_PROMPT_CHARS, now=self._now)


def _joined(pieces: Iterable[str]) -> str:
    """Join what a template puts out, unless it does not end."""
    kept: list[str] = []
    n_chars = 0
    for piece in pieces:
        n_chars += len(piece)
        if n_chars > MAX_PROMPT_CHARS:
            raise TemplateError(f"it puts out more than {MAX_PROMPT_CHARS} characters")
        kept.append(piece)
    return "".join(kept)


def _reason(error: BaseException) -> str:
    if isinstance(error, TemplateError):
        return error.message or type(error).__name__
    if isinstance(error, RecursionError):
        return "it calls itself without end"
    return f"{type(error).__name__}: {error}"
