"""How long a thread waited for a processor, as the system tells it."""

from __future__ import annotations

import sys
import threading

import pytest

from actorllama.native.run_delay import RunDelay

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@linux
def test_it_never_goes_down() -> None:
    delay = RunDelay()
    assert delay.is_known
    read = [delay.read_ns() for _ in range(100)]
    assert read == sorted(read)
    assert read[0] >= 0
    delay.close()


@linux
def test_each_thread_has_its_own() -> None:
    """A thread that has just begun has not waited for as long as this one may have."""
    found: list[int] = []

    def look() -> None:
        delay = RunDelay()
        found.append(delay.read_ns())
        delay.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found[0] >= 0


def test_what_is_closed_reads_nothing_and_closes_again() -> None:
    delay = RunDelay()
    delay.close()
    delay.close()
    assert not delay.is_known
    assert delay.read_ns() == 0
