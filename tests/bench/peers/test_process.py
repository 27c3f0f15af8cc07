"""Contestants end with the bench, whichever way it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama.bench.peers.process import PeerProcess
from actorllama.errors import EngineError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")]

_TIMEOUT_S = 60.0


async def test_the_last_words_of_a_process_are_told(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("of an earlier one\n")
    code = "import sys; sys.exit('no such model')"
    process = PeerProcess([sys.executable, "-c", code], log=log, environment={})
    await process.wait()
    with pytest.raises(EngineError, match="It ended with 1, saying: no such model"):
        process.check()
    await process.stop()


async def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    process = PeerProcess(["sleep", "3600"], log=tmp_path / "log.txt", environment={})
    process.check()
    process.kill()
    await process.stop()
    with pytest.raises(EngineError, match="-9"):
        process.check()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_is_left_behind_by_a_bench_that_was_ended(
    number: signal.Signals, code: int, fake_server: Path, tmp_path: Path
) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    line = ["bench", "peers", "-m", "demo", "--threads", "1", "--contestant", "llama-server"]
    sizes = ["--load", "restart", "--restart-prompt", "16", "--opening", "16", "--memory-prompt", "16"]
    sizes += ["--turns", "1", "--system", "16", "--turn-reply", "4", "--turn-prompt", "8", "--rounds", "1"]
    bench = subprocess.Popen(
        [sys.executable, "-m", "actorllama", *line, *sizes, "--llama-server", str(fake_server)],
        env={**os.environ, "FAKE_HANGS": str(told)},
        stderr=subprocess.PIPE,
    )
    with bench:
        pid = int(told.read_text())  # waits until a turn has begun
        peer = os.pidfd_open(pid)
        try:
            bench.send_signal(number)
            assert bench.wait(timeout=_TIMEOUT_S) == code
            assert select.select([peer], [], [], _TIMEOUT_S)[0] == [peer]
        finally:
            os.close(peer)
