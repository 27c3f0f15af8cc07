"""The Jinja environment that chat templates run in: it reaches nothing, and it stops.

A template comes out of a model file, so it is code by a stranger. Jinja's sandbox keeps it away from
Python; what the sandbox does not keep is time and memory, so each environment carries one render's budget.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sized
from datetime import datetime
from typing import Final, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_format, do_indent
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["ChatSandbox"]

MAX_STEPS: Final = 1_000_000
"""Loop rounds and macro calls in one render; a real template takes a few for each message."""

_MAX_WIDTH: Final = 9_999
_WIDE: Final = re.compile(r"\d{5,}|\*")
_WIDENING: Final = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})


class _GenerationTag(Extension):
    """``{% generation %}`` marks what a trainer learns from; whoever only renders passes it through."""

    tags = {"generation"}  # noqa: RUF012  # Jinja declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Give the nodes between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _BoundedCode(CodeGenerator):
    """Compiles what the budget needs: steps that are counted, and a ``~`` that cannot double without end."""

    def visit_Call(  # noqa: N802
        self,
        node: nodes.Call,
        frame: Frame,
        forward_caller: bool = False,  # noqa: FBT001, FBT002  # Jinja's signature
    ) -> None:
        if isinstance(node.node, nodes.EnvironmentAttribute):
            self.write("environment.step()")  # the sandbox's own way to call costs forty times as much
        else:
            super().visit_Call(node, frame, forward_caller=forward_caller)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  # Jinja's name
        self.write("environment.join_bounded((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")


class ChatSandbox(ImmutableSandboxedEnvironment):
    """One render's environment, set up as Hugging Face's ``apply_chat_template`` sets up its own.

    Owner: the one call that renders. Bounded: rounds of loops and calls of macros (``MAX_STEPS``), every
    string that an operator makes, field widths, and what is put out (by the caller, who counts it). Not
    bounded: the time and memory of one filter or string method, such as ``replace`` on a long text.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _BoundedCode

    def __init__(self, *, max_chars: int, now: Callable[[], datetime]) -> None:
        """Start with a full budget."""
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag], cache_size=0
        )
        self._max_chars = max_chars
        self._now = now
        self._n_steps = 0
        self.filters["tojson"] = _to_json
        self.filters["format"] = _format
        self.filters["indent"] = _indent
        for name in ("batch", "center", "slice"):  # they make lists and strings of any length
            del self.filters[name]
        del self.globals["lipsum"]
        self.functions: dict[str, Callable[[str], str]] = {
            "raise_exception": _raise_exception,
            "strftime_now": self._strftime_now,
        }

    def step(self) -> str:
        """Count one round; compiled into every loop and macro."""
        self._n_steps += 1
        if self._n_steps > MAX_STEPS:
            raise TemplateError(f"it takes more than {MAX_STEPS} steps")
        return ""

    def join_bounded(self, parts: tuple[object, ...]) -> str:
        """Join what ``~`` joins."""
        return self._bounded("".join(map(str, parts)))

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Apply an operator, unless its result would be enormous."""
        n_left, n_right = _length(left), _length(right)
        if operator == "*" and isinstance(right, int):
            self._check_chars(n_left * right)
        elif operator == "*" and isinstance(left, int):
            self._check_chars(n_right * left)
        elif operator == "+":
            self._check_chars(n_left + n_right)
        elif operator == "%" and isinstance(left, str):
            _check_fields(left)
        elif operator == "**" and not (_is_small(left) and _is_small(right)):
            raise TemplateError("it asks for an enormous number")
        result: object = super().call_binop(context, operator, left, right)
        return result

    def call(self, context: Context, called: object, /, *args: object, **kwargs: object) -> object:
        """Call what the template calls, unless it formats a very wide field."""
        method = getattr(called, "__wrapped__", called)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str) and getattr(method, "__name__", "").startswith("format"):
            _check_fields(owner)
        result: object = super().call(context, called, *args, **kwargs)
        return result

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Hide, besides what the sandbox hides, the methods that only make strings long."""
        if isinstance(obj, str) and attr in _WIDENING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Put a step at the head of every loop and macro."""
        template = super()._parse(source, name, filename)
        blocks: list[nodes.For | nodes.Macro] = [
            *template.find_all(nodes.For),
            *template.find_all(nodes.Macro),
        ]
        for block in blocks:
            call = nodes.Call(nodes.EnvironmentAttribute("step"), [], [], None, None)
            block.body.insert(0, nodes.ExprStmt(call).set_lineno(block.lineno))
        template.set_environment(self)
        return template

    def _strftime_now(self, form: str) -> str:
        return self._now().strftime(form)

    def _bounded(self, text: str) -> str:
        self._check_chars(len(text))
        return text

    def _check_chars(self, n: int) -> None:
        if n > self._max_chars:
            raise TemplateError(f"it makes a text of more than {self._max_chars} characters")


def _check_fields(form: str) -> None:
    """Refuse a format that pads its fields to enormous widths."""
    if _WIDE.search(form):
        raise TemplateError("it asks for a very wide field")


def _format(form: object, *args: object, **kwargs: object) -> str:
    """Do what Jinja's ``format`` does, with fields of some width only."""
    _check_fields(str(form))
    return do_format(str(form), *args, **kwargs)


def _indent(
    text: str,
    width: int | str = 4,
    first: bool = False,  # noqa: FBT001, FBT002  # the order in which templates pass them
    blank: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Do what Jinja's ``indent`` does, for indents of some width only."""
    if isinstance(width, int) and width > _MAX_WIDTH:
        raise TemplateError("it indents very far")
    return do_indent(text, width, first, blank)


def _length(value: object) -> int:
    return len(value) if isinstance(value, Sized) else 0


def _is_small(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _MAX_WIDTH


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # Hugging Face's signature
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Write JSON without HTML's escapes, which Jinja's own filter would put in."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
