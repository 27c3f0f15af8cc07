"""What ``actorllama top`` cannot watch, and says so: one line, a next step, exit code 2."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.shell import Invoke


@contextmanager
def answering(path: Path, *, says: bytes) -> Generator[None, None, None]:
    """Listen like a runtime, and say something else."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # shut down
                with connection:
                    connection.sendall(says)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_without_a_runtime_one_line_tells_how_to_start_one(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("top", "--state-dir", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "open_runtime(state_dir=...)" in done.err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--state-dir", "@/none"), "no such directory"),
        (("--state-dir", ""), "no such directory"),
        (("--attach", "@/none.sock"), "there is nothing"),
        (("--attach", "@/file"), "this is no socket"),
        (("--attach", "@/dead.sock"), "nobody listens"),
        (("--attach", "12345", "--state-dir", "@"), "There are: none"),
        (("--interval", "nan"), "must be between"),
        (("--interval", "-1"), "must be between"),
    ],
)
def test_what_cannot_be_watched_is_one_line_and_exit_code_2(
    argv: tuple[str, ...], says: str, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    done = invoke("top", *(word.replace("@", str(tmp_path)) for word in argv))
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert says in done.err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak JSON"),
        (b"[1, 2]\n", "says something else"),
        (b'{"kind":"snapshot"}\n', "not the socket of a runtime"),
        (b'{"kind":"hello","protocol":99,"pid":1}\n', "newer actorllama"),
        (b"", "it has ended"),
    ],
)
def test_somebody_else_on_the_socket_is_told_as_such(
    line: bytes, says: str, invoke: Invoke, tmp_path: Path
) -> None:
    with answering(tmp_path / "other.sock", says=line):
        done = invoke("top", "--attach", str(tmp_path / "other.sock"))
    assert (done.code, done.out) == (2, "")
    assert says in done.err
