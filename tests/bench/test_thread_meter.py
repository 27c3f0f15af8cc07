"""The time that threads of one name take is told apart from that of all others."""

from __future__ import annotations

import sys
import threading
from time import thread_time

import pytest

from actorllama.bench.thread_meter import ThreadMeter

LONG_S = 60.0


def busy(took: list[float], done: threading.Event, may_end: threading.Event) -> None:
    while thread_time() < 0.01:
        pass
    took.append(thread_time())
    done.set()
    assert may_end.wait(LONG_S)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the time of another thread")
def test_threads_of_the_name_are_counted_and_no_others() -> None:
    mine, none, took = ThreadMeter("mine"), ThreadMeter("nobody"), list[float]()
    may_end = threading.Event()
    with mine.measuring(), none.measuring():
        done = [threading.Event(), threading.Event()]
        threads = [
            threading.Thread(target=busy, args=(took, done[place], may_end), name=name)
            for place, name in enumerate(("mine", "other"))
        ]
        for thread, its_end in zip(threads, done, strict=True):
            thread.start()
            assert its_end.wait(LONG_S)
    with mine.measuring():
        may_end.set()
    for thread in threads:
        thread.join()

    assert none.cpu_s == 0
    assert mine.cpu_s is not None
    assert mine.cpu_s >= took[0]


def test_where_the_system_does_not_tell_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = ThreadMeter("mine")
    monkeypatch.setattr(sys, "platform", "darwin")
    with meter.measuring():
        pass
    monkeypatch.undo()
    with meter.measuring():
        pass

    assert meter.cpu_s is None
