"""Python at the console."""

import pytest
import trio

from actorllama.cli.console.python_shell import Failed, PythonShell, Value, is_whole


@pytest.mark.parametrize(
    ("source", "whole"),
    [
        ("1 + 1", True),
        ("await f()", True),
        ("x = (", False),
        ("for x in y:", False),
        ("for x in y:\n  pass", False),
        ("for x in y:\n  pass\n", True),
        ("async with a as b:\n  await c\n", True),
        ("1 +* 1", True),
        ("'''open", False),
    ],
)
def test_lines_wait_for_the_rest(source: str, whole: bool) -> None:
    assert is_whole(source) is whole


async def test_the_last_expression_is_the_value_and_names_stay() -> None:
    shell = PythonShell()
    assert await shell.run("x = 20; x + 1") == Value(value=21)
    assert await shell.run("_ * 2") == Value(value=42)
    assert await shell.run("if x:\n    y = 1") == Value(value=None)
    assert await shell.run("_ + y") == Value(value=43)


async def test_await_works_at_the_top_and_is_cancelled_with_its_caller() -> None:
    shell = PythonShell()
    shell.names["trio"] = trio
    assert await shell.run("await trio.lowlevel.checkpoint()\n7") == Value(value=7)
    assert await shell.run("[x async for x in g()]") != Value(value=None)
    with trio.CancelScope() as scope:
        scope.cancel()
        await shell.run("await trio.sleep_forever()")
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("1 / 0", 'File "<console>", line 1, in <module>\nZeroDivisionError: division by zero'),
        ("1 +* 1", "SyntaxError"),
        ("await None", "TypeError"),
        ("return 1", "SyntaxError"),
        ("'\x00'", "null bytes"),
    ],
)
async def test_what_fails_is_told_and_the_shell_goes_on(source: str, told: str) -> None:
    shell = PythonShell()
    outcome = await shell.run(source)
    assert isinstance(outcome, Failed)
    assert told in outcome.told
    assert "python_shell" not in outcome.told
    assert await shell.run("1") == Value(value=1)
