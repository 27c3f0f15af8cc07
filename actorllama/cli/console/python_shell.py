"""Python at the console: top-level await, the last value shown, a namespace that stays."""

from __future__ import annotations

import ast
import codeop
import inspect
import traceback
from collections.abc import Awaitable
from types import CodeType
from typing import Final, cast

from attrs import frozen

__all__ = ["Failed", "PythonShell", "Value", "is_whole"]

_NAME: Final = "<console>"
_SHOWN: Final = "_"


@frozen(kw_only=True)
class Value:
    """What the last expression gave; ``None`` where there was none, or it was ``None``."""

    value: object


@frozen(kw_only=True)
class Failed:
    """The code raised, or is no Python."""

    told: str
    """The traceback, from the user's own line on."""


def is_whole(source: str) -> bool:
    """Tell whether lines can be run, or wait for more; what is no Python is whole, and will say so."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return compiler(source, _NAME, "single") is not None
    except (SyntaxError, ValueError, OverflowError):
        return True


class PythonShell:
    """Runs source in one namespace, on the event loop.

    Code that waits is cancelled with its caller; code that only computes holds up the loop while it does.

    Owner: the console's one task.
    """

    def __init__(self) -> None:
        """Begin with an empty namespace."""
        self.names: dict[str, object] = {"__name__": "__console__"}

    async def run(self, source: str) -> Value | Failed:
        """Run source; the value of an expression at its end is also bound to ``_``."""
        try:
            body, last = _compiled(source)
            if body is not None:
                await self._run(body)
            value = None if last is None else await self._run(last)
        except Exception as error:  # noqa: BLE001 - the user's own code: whatever it raises is shown to them
            return Failed(told=_told(error))
        if value is not None:
            self.names[_SHOWN] = value
        return Value(value=value)

    async def _run(self, code: CodeType) -> object:
        result: object = eval(code, self.names)  # the user's own code, at their own console
        if code.co_flags & inspect.CO_COROUTINE:
            result = await cast("Awaitable[object]", result)
        return result


def _compiled(source: str) -> tuple[CodeType | None, CodeType | None]:
    """Cut source into its statements and the expression at its end."""
    tree = ast.parse(source, _NAME)
    last: CodeType | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(cast("ast.Expr", tree.body.pop()).value)
        last = _code(expression, "eval")
    return (_code(tree, "exec") if tree.body else None), last


def _code(tree: ast.Module | ast.Expression, mode: str) -> CodeType:
    code: object = compile(tree, _NAME, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    assert isinstance(code, CodeType)
    return code


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = next((at for at, frame in enumerate(frames) if frame.filename == _NAME), len(frames))
    lines = traceback.format_list(frames[own:]) + traceback.format_exception_only(error)
    return "".join(lines).rstrip("\n")
