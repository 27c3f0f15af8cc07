import os
import signal

import trio

from actorllama.cli.interrupts import Interrupts, run_interruptible


def test_a_signal_cancels_the_open_scope_and_no_more() -> None:
    async def work(interrupts: Interrupts) -> list[str]:
        told: list[str] = []
        with interrupts.stopping(also=lambda: told.append("woken")):
            os.kill(os.getpid(), signal.SIGINT)
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        told.append(f"code {interrupts.exit_code}")
        return told

    assert run_interruptible(work) == ["woken", "code 130"]


def test_a_signal_between_two_scopes_cancels_the_next_one() -> None:
    async def work(interrupts: Interrupts) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        await trio.lowlevel.checkpoint()
        with interrupts.stopping():
            await trio.sleep_forever()
        interrupts.forget_ctrl_c()  # it was none
        return interrupts.must_leave

    assert run_interruptible(work)


def test_what_is_forgotten_does_not_count_as_the_first() -> None:
    async def work(interrupts: Interrupts) -> int:
        for _ in range(3):
            with interrupts.stopping():
                os.kill(os.getpid(), signal.SIGINT)
                await trio.sleep_forever()
            assert not interrupts.must_leave
            interrupts.forget_ctrl_c()
        return interrupts.exit_code

    assert run_interruptible(work) == 0


def test_the_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async def work(_interrupts: Interrupts) -> None:
        await trio.lowlevel.checkpoint()

    run_interruptible(work)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
