"""What crosses to a loop: in order, with one wake-up, and at once where there is nothing to cross."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from actorllama.aio.inbox import LoopInbox
from tests.aio.aio_rig import run


def test_what_the_loops_own_thread_posts_is_done_at_once() -> None:
    async def main() -> None:
        inbox = LoopInbox(asyncio.get_running_loop())
        done: list[int] = []
        for number in range(3):
            inbox.post(partial(done.append, number))
            assert done[-1] == number

    run(main)


def test_what_another_thread_posted_before_is_done_before() -> None:
    async def main() -> None:
        inbox = LoopInbox(asyncio.get_running_loop())
        done: list[str] = []
        is_done = asyncio.Event()
        elsewhere = threading.Thread(target=inbox.post, args=(partial(done.append, "there"),))
        elsewhere.start()
        elsewhere.join()
        inbox.post(partial(done.append, "here"))
        inbox.post(is_done.set)
        assert done == []
        await is_done.wait()
        assert done == ["there", "here"]

    run(main)


def test_what_is_posted_beside_another_loop_goes_to_the_loop_that_reads() -> None:
    async def main() -> None:
        here = threading.get_ident()
        inbox = LoopInbox(asyncio.get_running_loop())
        done_on: list[int] = []
        is_done = asyncio.Event()

        async def elsewhere() -> None:
            inbox.post(lambda: done_on.append(threading.get_ident()))
            inbox.post(is_done.set)

        await asyncio.to_thread(asyncio.run, elsewhere())
        await is_done.wait()
        assert done_on == [here]

    run(main)


def test_what_is_posted_while_the_loop_stands_still_waits_for_it() -> None:
    async def make() -> LoopInbox:
        return LoopInbox(asyncio.get_running_loop())

    with asyncio.Runner() as runner:
        inbox = runner.run(make())
        done: list[int] = []
        inbox.post(partial(done.append, 1))
        assert done == []
        runner.run(asyncio.sleep(0))
        assert done == [1]
