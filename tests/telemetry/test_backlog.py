import threading
from collections.abc import Callable, Iterator, Sequence
from time import thread_time

import pytest

from actorllama.telemetry.backlog import Backlog

LONG_S = 60.0


class Held:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.is_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.done: list[int] = []

    def __call__(self, items: Sequence[int]) -> Iterator[None]:
        self.is_begun.set()
        assert self.may_go_on.wait(LONG_S)
        self.done.extend(items)
        yield


def each(do: Callable[[int], object]) -> Callable[[Sequence[int]], Iterator[None]]:
    """Work off items one by one."""

    def work(items: Sequence[int]) -> Iterator[None]:
        for item in items:
            do(item)
            yield

    return work


def test_items_are_worked_off_in_order_in_another_thread() -> None:
    seen: list[tuple[int, str]] = []

    def note(item: int) -> None:
        seen.append((item, threading.current_thread().name))

    backlog = Backlog[int](each(note), print)
    for item in range(100):
        backlog.offer(item)

    assert backlog.flush(LONG_S)
    assert seen == [(item, "actorllama-telemetry") for item in range(100)]


def test_work_that_takes_long_pauses_where_it_may_and_goes_on() -> None:
    done, seen = threading.Event(), list[int]()

    def slow(item: int) -> None:
        began_s = thread_time()
        while thread_time() - began_s < 0.001:  # two slices
            pass
        seen.append(item)
        if item == 9:
            done.set()

    backlog = Backlog[int](each(slow), print, interval_s=0.0)
    for item in range(10):
        backlog.offer(item)

    assert done.wait(LONG_S)
    assert seen == list(range(10))


def test_an_urgent_item_does_not_wait_for_others() -> None:
    done = threading.Event()
    backlog = Backlog[int](each(lambda _n: done.set()), print, interval_s=3600.0)
    backlog.offer(1)
    backlog.offer(2, is_urgent=True)

    assert done.wait(LONG_S)


def test_the_first_item_may_be_urgent() -> None:
    done = threading.Event()
    backlog = Backlog[int](each(lambda _n: done.set()), print, interval_s=3600.0)
    backlog.offer(1, is_urgent=True)

    assert done.wait(LONG_S)


def test_what_finds_no_room_is_dropped_and_told_once() -> None:
    work, told = Held(), list[int]()
    backlog = Backlog[int](work, told.append, limit=3, interval_s=0.0)
    backlog.offer(0)
    assert work.is_begun.wait(LONG_S)
    for item in range(1, 8):
        backlog.offer(item)
    work.may_go_on.set()

    assert backlog.flush(LONG_S)
    assert work.done == [0, 1, 2, 3]
    assert told == [4]


def test_a_flush_that_takes_too_long_says_so() -> None:
    work = Held()
    backlog = Backlog[int](work, print)
    backlog.offer(1)

    assert not backlog.flush(0.0)
    work.may_go_on.set()
    assert backlog.flush(LONG_S)


def test_a_flush_with_nothing_to_wait_for_returns_at_once_and_the_thread_lives_on() -> None:
    threads: list[threading.Thread] = []
    backlog = Backlog[int](
        each(lambda _item: threads.append(threading.current_thread())), print, interval_s=0.0, idle_s=3600.0
    )
    for item in range(2):
        backlog.offer(item)
        assert backlog.flush(LONG_S)
        assert backlog.flush(0.0)

    assert threads[0] is threads[1]


def test_the_work_itself_cannot_wait_for_its_end() -> None:
    answers: list[bool] = []

    def wait(_item: int) -> None:
        answers.append(backlog.flush(LONG_S))

    backlog = Backlog[int](each(wait), print)
    backlog.offer(1)

    assert backlog.flush(LONG_S)
    assert answers == [False]


def test_an_idle_thread_ends_and_the_next_item_starts_another() -> None:
    threads: list[threading.Thread] = []
    backlog = Backlog[int](each(lambda _item: threads.append(threading.current_thread())), print, idle_s=0.0)
    for item in range(2):
        backlog.offer(item)
        assert backlog.flush(LONG_S)
        threads[item].join(LONG_S)

    assert threads[0] is not threads[1]
    assert backlog.flush(0.0)


def test_where_no_thread_is_to_be_had_items_wait_for_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    seen: list[int] = []
    backlog = Backlog[int](each(seen.append), print)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        backlog.offer(1)
        assert not backlog.flush(LONG_S)
    backlog.offer(2)

    assert backlog.flush(LONG_S)
    assert seen == [1, 2]
