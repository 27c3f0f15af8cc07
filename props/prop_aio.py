"""Turns that are taken, read, left, cancelled and disturbed beyond the bridge: they end as under trio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeAlias, assert_never

import trio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama import Model, TurnResult, aio, open_runtime
from actorllama.errors import ActorLlamaError
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage

Mode: TypeAlias = Literal["thread", "guest"]
Ending: TypeAlias = Literal["read", "leave", "raise", "cancel"]
"""What a reader does: read to the end; leave, fail or be cancelled when it has read enough."""
N_SEQ = 2
CTX = 48
HANG_S = 45.0  # a program takes a tenth of a second, and the longest deadline of a room is 60 s
LEFT, CANCELLED, FAILED = "left", "cancelled", "ZeroDivisionError"
SLOW = settings(max_examples=max(10, settings().max_examples // 4))  # each opens a runtime or two


@frozen(kw_only=True)
class Plan:
    """One turn and its reader."""

    prompt: str
    max_tokens: int
    window: int
    n_read: int
    """Tokens after which the reader has enough; 0: it reads nothing."""
    ending: Ending
    is_slow: bool
    is_streamed: bool


@frozen(kw_only=True)
class Outcome:
    """How a turn ended for the one who asked for it."""

    kind: str
    text: str = ""


@frozen(kw_only=True)
class Act:
    """What happens to turns while they run."""

    verb: Literal["wait", "cancel", "unload"]
    number: int


def plans(*, faults: bool) -> st.SearchStrategy[Plan]:
    long = "x" * (2 * CTX)  # it does not fit
    return st.builds(
        Plan,
        prompt=st.sampled_from(("a", "hello", "hello there", *((long,) if faults else ()))),
        max_tokens=st.integers(-1 if faults else 1, 30),
        window=st.integers(1 if faults else 2, 8),
        n_read=st.integers(0, 12),
        ending=st.sampled_from(("read", "leave", "raise", "cancel")),
        is_slow=st.booleans(),
        is_streamed=st.sampled_from((True, True, False)),
    )


acts = st.builds(
    Act, verb=st.sampled_from(("wait", "wait", "cancel", "cancel", "unload")), number=st.integers(0, 30)
)


def fake() -> FakeBackend:
    return FakeBackend(FakeLanguage(end_one_in=24))


def told(result: TurnResult) -> Outcome:
    return Outcome(kind=result.finish_reason, text=result.text)


async def take(
    model: Model | aio.AsyncModel,
    plan: Plan,
    *,
    pause: Callable[[], Awaitable[None]],
    cancel: Callable[[], object],
) -> Outcome:
    """Take a turn and read it as planned; the same words under trio and asyncio."""
    if not plan.is_streamed:
        return told(await model.complete(plan.prompt, max_tokens=plan.max_tokens, temperature=0.0))
    async with model.stream(
        plan.prompt, max_tokens=plan.max_tokens, temperature=0.0, window=plan.window
    ) as turn:
        n_read, text = 0, ""
        while plan.ending == "read" or n_read < plan.n_read:
            piece = await anext(turn, None)
            if piece is None:
                break
            n_read, text = n_read + piece.n_tokens, text + piece.text
            if plan.is_slow:
                await pause()
        match plan.ending:
            case "read":
                assert text == turn.result.text
            case "leave":
                return Outcome(kind=LEFT)
            case "raise":
                raise ZeroDivisionError
            case "cancel":
                cancel()
                await pause()
            case _:
                assert_never(plan.ending)
    return told(turn.result)


def failure(exc: Exception) -> Outcome:
    assert isinstance(exc, ActorLlamaError | ZeroDivisionError), exc
    return Outcome(kind=type(exc).__name__)


def under_trio(program: Sequence[Plan]) -> list[Outcome]:
    outcomes = [Outcome(kind=CANCELLED)] * len(program)

    async def one(model: Model, index: int) -> None:
        with trio.CancelScope() as scope:
            try:
                outcomes[index] = await take(
                    model, program[index], pause=trio.lowlevel.checkpoint, cancel=scope.cancel
                )
            except Exception as exc:  # noqa: BLE001 - what comes out is what is compared
                outcomes[index] = failure(exc)

    async def main() -> None:
        with trio.fail_after(HANG_S):
            async with open_runtime(backend=fake()) as rt:
                model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)
                async with trio.open_nursery() as nursery:
                    for index in range(len(program)):
                        nursery.start_soon(one, model, index)

    trio.run(main)
    return outcomes


async def one_under_asyncio(model: aio.AsyncModel, plan: Plan) -> Outcome:
    task = asyncio.current_task()
    assert task is not None
    try:
        return await take(model, plan, pause=lambda: asyncio.sleep(0), cancel=task.cancel)
    except asyncio.CancelledError:
        return Outcome(kind=CANCELLED)
    except Exception as exc:  # noqa: BLE001 - as above
        return failure(exc)


def under_asyncio(
    program: Sequence[Plan],
    mode: Mode,
    happens: Sequence[Act] = (),
    *,
    closes: bool = False,
    crashes_at: int = 0,
) -> list[Outcome]:
    """Run a program, disturbed or not, and insist that nothing of it is left."""
    backend = fake()
    if crashes_at:
        backend.faults.fail_decode(-3, nth=crashes_at)

    async def main() -> list[Outcome]:
        async with asyncio.timeout(HANG_S):
            async with aio.open_runtime(mode=mode, backend=backend) as rt:
                model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)
                tasks = [asyncio.create_task(one_under_asyncio(model, plan)) for plan in program]
                for act in happens:
                    await perform(rt, act, tasks)
                if not closes:
                    await asyncio.wait(tasks)
                    await insist_idle(rt)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return [Outcome(kind=CANCELLED) if isinstance(one, BaseException) else one for one in ended]

    before = set(threading.enumerate())
    outcomes = asyncio.run(main())
    left = [one.name for one in threading.enumerate() if one not in before]
    assert [name for name in left if not name.startswith("Trio thread")] == []
    backend.ledger.check()
    return outcomes


async def perform(rt: aio.AsyncRuntime, act: Act, tasks: Sequence[asyncio.Task[Outcome]]) -> None:
    match act.verb:
        case "wait":
            for _ in range(act.number):
                await asyncio.sleep(0)
        case "cancel":
            tasks[act.number % len(tasks)].cancel()
        case "unload":
            if any(gauges.model == "fake" for gauges in rt.gauges()):
                await rt.unload("fake", grace_s=0.0)
        case _:
            assert_never(act.verb)


async def insist_idle(rt: aio.AsyncRuntime) -> None:
    """Every sequence comes back, if the model is still there."""
    while any(one.n_live or one.n_queued or one.n_free_slots < N_SEQ for one in await rt.models()):
        pass


def under_threads(program: Sequence[Plan]) -> list[Outcome]:
    """Run a program from threads that block; who would be cancelled leaves, because a thread cannot be."""
    backend = fake()

    def one(plan: Plan) -> Outcome:
        try:
            return take_blocking(model, plan)
        except Exception as exc:  # noqa: BLE001 - as above
            return failure(exc)

    before = set(threading.enumerate())
    with aio.open_blocking_runtime(backend=backend) as rt:
        model = rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)
        with ThreadPoolExecutor(len(program)) as pool:
            outcomes = [
                future.result(timeout=HANG_S) for future in [pool.submit(one, plan) for plan in program]
            ]
        while model.status().n_free_slots < N_SEQ:
            pass
    left = [one.name for one in threading.enumerate() if one not in before]
    assert [name for name in left if not name.startswith("Trio thread")] == []
    backend.ledger.check()
    return outcomes


def take_blocking(model: aio.BlockingModel, plan: Plan) -> Outcome:
    if not plan.is_streamed:
        return told(model.complete(plan.prompt, max_tokens=plan.max_tokens, temperature=0.0))
    with model.stream(plan.prompt, max_tokens=plan.max_tokens, temperature=0.0, window=plan.window) as turn:
        n_read, text = 0, ""
        while plan.ending == "read" or n_read < plan.n_read:
            piece = next(turn, None)
            if piece is None:
                break
            n_read, text = n_read + piece.n_tokens, text + piece.text
        match plan.ending:
            case "read":
                assert text == turn.result.text
            case "leave":
                return Outcome(kind=LEFT)
            case "raise":
                raise ZeroDivisionError
            case "cancel":
                return Outcome(kind=CANCELLED)
            case _:
                assert_never(plan.ending)
    return told(turn.result)


@SLOW
@given(
    program=st.lists(plans(faults=True), min_size=1, max_size=5), mode=st.sampled_from(("thread", "guest"))
)
def prop_a_program_of_turns_ends_under_asyncio_as_under_trio(program: list[Plan], mode: Mode) -> None:
    assert under_asyncio(program, mode) == under_trio(program)


@SLOW
@given(program=st.lists(plans(faults=True), min_size=1, max_size=5))
def prop_a_program_of_turns_ends_in_threads_as_under_trio(program: list[Plan]) -> None:
    assert under_threads(program) == under_trio(program)


@SLOW
@given(
    program=st.lists(plans(faults=False), min_size=1, max_size=5),
    mode=st.sampled_from(("thread", "guest")),
    happens=st.lists(acts, max_size=6),
    closes=st.booleans(),
    crashes_at=st.sampled_from((0, 0, 3, 9)),
)
def prop_whatever_happens_to_it_a_turn_ends_once_and_with_a_type(
    program: list[Plan], mode: Mode, happens: list[Act], *, closes: bool, crashes_at: int
) -> None:
    """A turn that was left alone is what it would have been; any other says which of these it was."""
    undisturbed = under_trio(program)
    outcomes = under_asyncio(program, mode, happens, closes=closes, crashes_at=crashes_at)
    may_be = (
        {"TurnCancelled", "ModelNotLoaded", "ModelUnavailable"} if _has(happens, "unload") else set[str]()
    )
    may_be |= {"RuntimeClosed"} if closes else set[str]()
    may_be |= {"ModelUnavailable"} if crashes_at else set[str]()
    cancelled = {act.number % len(program) for act in happens if act.verb == "cancel"}
    for index, (outcome, alone) in enumerate(zip(outcomes, undisturbed, strict=True)):
        allowed = may_be | ({CANCELLED} if index in cancelled else set[str]())
        assert outcome == alone or outcome.kind in allowed, (program[index], outcome, alone)


def _has(happens: Sequence[Act], verb: str) -> bool:
    return any(act.verb == verb for act in happens)
