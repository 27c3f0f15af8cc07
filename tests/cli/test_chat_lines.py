import os
from pathlib import Path

import pytest
import trio
import trio.testing

from actorllama.cli.chat_lines import Leave, PipeLines
from actorllama.errors import RequestError


async def all_of(lines: PipeLines) -> list[str]:
    found: list[str] = []
    while not isinstance(line := await lines.read(), Leave):
        found.append(line)
    return found


async def test_lines_come_whole_however_they_were_written() -> None:
    read_end, write_end = os.pipe()
    found: list[str] = []

    async def read() -> None:
        found.extend(await all_of(PipeLines(read_end)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for chunk in (b"one", b"\ntw", b"o\n\n", "é".encode()[:1], "é".encode()[1:], b"nd"):
            os.write(write_end, chunk)
            await trio.testing.wait_all_tasks_blocked()
        os.close(write_end)
    os.close(read_end)
    assert found == ["one", "two", "", "énd"]


async def test_a_regular_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("a\nb\n")
    descriptor = os.open(tmp_path / "lines", os.O_RDONLY)
    assert await all_of(PipeLines(descriptor)) == ["a", "b"]
    os.close(descriptor)


async def test_a_line_that_is_no_text_spoils_only_itself() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"\xffx\nnext\n")
    os.close(write_end)
    lines = PipeLines(read_end)
    with pytest.raises(RequestError, match="not UTF-8 at byte 0"):
        await lines.read()
    assert await lines.read() == "next"
    os.close(read_end)


async def test_waiting_for_a_line_can_be_cancelled() -> None:
    read_end, write_end = os.pipe()
    with trio.CancelScope() as scope:
        scope.cancel()
        await PipeLines(read_end).read()
    assert scope.cancelled_caught
    os.close(read_end)
    os.close(write_end)
