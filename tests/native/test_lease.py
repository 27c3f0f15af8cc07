"""A native handle is freed exactly once, after its last user has left it."""

from __future__ import annotations

import threading

import pytest

from actorllama.errors import StateError
from actorllama.native.lease import Lease


def lease() -> tuple[Lease, list[int]]:
    """Make a lease and the list of the threads that freed it."""
    freed: list[int] = []
    return Lease(what="thing", free=lambda: freed.append(threading.get_ident())), freed


def test_a_handle_that_nobody_uses_is_freed_at_once() -> None:
    handle, freed = lease()
    handle.close()
    assert len(freed) == 1
    assert handle.is_closed
    assert handle.is_freed


def test_closing_again_frees_nothing_again() -> None:
    handle, freed = lease()
    for _ in range(3):
        handle.close()
    assert len(freed) == 1


def test_a_handle_in_use_is_freed_by_whoever_leaves_last() -> None:
    handle, freed = lease()
    with handle.use():
        with handle.use():
            handle.close()
            assert not freed
            assert handle.is_closed
        assert not freed
    assert len(freed) == 1


def test_a_closed_handle_admits_nobody() -> None:
    handle, _ = lease()
    handle.close()
    with pytest.raises(StateError, match="thing refused: it is closed"), handle.use():
        pass


def test_a_use_that_raises_is_over() -> None:
    handle, freed = lease()
    with pytest.raises(ZeroDivisionError), handle.use():
        raise ZeroDivisionError
    handle.close()
    assert len(freed) == 1


def test_the_thread_that_comes_back_last_frees() -> None:
    handle, freed = lease()
    is_inside, may_leave = threading.Event(), threading.Event()

    def use() -> None:
        with handle.use():
            is_inside.set()
            may_leave.wait(5)

    thread = threading.Thread(target=use)
    thread.start()
    is_inside.wait(5)
    handle.close()
    assert not handle.is_freed
    may_leave.set()
    thread.join(5)
    assert freed == [thread.ident]


def test_many_threads_that_come_and_go_free_it_once() -> None:
    handle, freed = lease()
    start = threading.Barrier(9)
    refused: list[StateError] = []

    def use() -> None:
        start.wait(5)
        try:
            for _ in range(300):
                with handle.use():
                    assert not freed, "used after it was freed"
        except StateError as error:
            refused.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait(5)
    handle.close()
    for thread in threads:
        thread.join(5)
    assert len(freed) == 1
