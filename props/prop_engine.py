"""The engine under programs of turns: what a turn brings depends on nothing beside it, and nothing is lost.

Every law runs the whole tree - supervisors, model actor, host, loop - on the fake backend, under a drawn
schedule and in virtual time.
"""

from __future__ import annotations

import trio
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from actorllama import Config, Model, TurnResult
from actorllama.engine import EngineOptions
from actorllama.errors import EngineError, ModelNotLoaded, ModelUnavailable, TurnCancelled, TurnTimeout
from actorllama.native import SamplingParams
from actorllama.runtime.names import model_name
from actorllama.testing import Strategy, explore
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import ExpectedTurn, expected_turn
from actorllama.testing.strategies import schedules
from props.engine_strategies import TurnProgram, programs_of_turns
from tests.inline_tree import open_tree

N_SEQ = 2
CTX = 40
LANGUAGE = FakeLanguage(end_one_in=24)
CONFIG = Config(engine=EngineOptions(n_mixed=6, n_reuse=32))
PATIENCE_S = 5.0


@define
class Caller:
    """One program, and what its caller saw."""

    program: TurnProgram
    shown: str = ""
    result: TurnResult | None = None
    error: EngineError | None = None
    has_left: bool = False
    outcomes: list[str] = field(factory=list[str])

    async def run(self, model: Model) -> None:
        """Ask at the drawn moment, and leave at the drawn moment."""
        program = self.program
        await trio.sleep(program.starts_at_s)
        deadline = float("inf") if program.leaves_at_s is None else trio.current_time() + program.leaves_at_s
        with trio.CancelScope(deadline=deadline) as scope:
            try:
                await self.take(model)
            except EngineError as error:
                self.error = error
                self.outcomes.append(type(error).__name__)
        if scope.cancelled_caught:
            self.has_left = True
            self.outcomes.append("left")

    async def take(self, model: Model) -> None:
        """Take the turn in the manner of the program."""
        program = self.program
        sampling = SamplingParams(temperature=program.temperature, seed=program.seed)
        if program.manner == "complete":
            self.result = await model.complete(
                program.prompt,
                max_tokens=program.max_tokens,
                stop=program.stop,
                temperature=sampling.temperature,
                seed=sampling.seed,
            )
        else:
            async with model.stream(
                program.prompt,
                max_tokens=program.max_tokens,
                stop=program.stop,
                window=program.window,
                timeout_s=PATIENCE_S,
                temperature=sampling.temperature,
                seed=sampling.seed,
            ) as turn:
                if program.manner == "never read":
                    await trio.sleep(2 * PATIENCE_S)
                async for piece in turn:
                    self.shown += piece.text
                    if program.manner == "leave early":
                        break
                    if program.manner == "read slowly":
                        await trio.sleep(0.1)
                if turn.is_done:
                    self.result = turn.result
        self.outcomes.append("done" if self.result is not None else "left early")

    def expected(self) -> ExpectedTurn:
        """Compute what the turn brings when it is alone."""
        program = self.program
        return expected_turn(
            LANGUAGE,
            LANGUAGE.tokenize(program.prompt, add_special=True, parse_special=False),
            SamplingParams(temperature=program.temperature, seed=program.seed),
            max_tokens=program.max_tokens,
            stop=program.stop,
            ctx_per_seq=CTX,
        )

    def check(self) -> None:
        """Insist on one outcome, and on the right text as far as it came."""
        assert len(self.outcomes) == 1, self.outcomes
        want = self.expected()
        assert want.text.startswith(self.shown)
        if self.result is not None:
            got = self.result
            assert (got.tokens, got.text, got.finish_reason, got.stop) == (
                want.tokens,
                want.text,
                want.finish_reason,
                want.stop,
            )
            if self.program.manner in ("read", "read slowly"):
                assert self.shown == want.text


async def run_all(callers: list[Caller], model: Model) -> None:
    async with trio.open_nursery() as nursery:
        for caller in callers:
            nursery.start_soon(caller.run, model)


async def wait_until_idle(model: Model) -> None:
    """Wait for the cancelled turns to leave; with every caller gone that takes a few steps."""
    for _ in range(1000):
        status = await model.status()
        if (status.n_free_slots, status.n_live, status.n_queued) == (N_SEQ, 0, 0):
            return
    raise AssertionError(f"a sequence is lost: {await model.status()}")


@given(programs=programs_of_turns(), schedule=schedules())
def prop_a_turn_brings_the_same_whatever_runs_beside_it(
    programs: list[TurnProgram], schedule: Strategy
) -> None:
    """Cancels, slow readers, stops and draws beside it: its tokens are the oracle's, and no slot is lost."""
    backends: list[FakeBackend] = []

    async def scenario() -> None:
        backend = FakeBackend(LANGUAGE)
        backends[:] = [backend]
        callers = [Caller(program) for program in programs]
        async with open_tree(backend, CONFIG) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)
            await run_all(callers, model)
            await wait_until_idle(model)
            assert backend.ledger.n_open("sampler") == 0
        for caller in callers:
            caller.check()
            assert caller.error is None or isinstance(caller.error, TurnTimeout)

    def at_most_one_sampler_for_each_sequence() -> None:
        for backend in backends:
            assert backend.ledger.n_open("sampler") <= N_SEQ

    explore(scenario, strategy=schedule, invariant=at_most_one_sampler_for_each_sequence, max_ticks=50_000)


@given(
    programs=programs_of_turns(max_turns=4),
    schedule=schedules(),
    nth=st.integers(1, 30),
    code=st.sampled_from([-3, -1, 2]),
)
def prop_after_a_crash_everybody_was_told_and_the_next_turn_works(
    programs: list[TurnProgram], schedule: Strategy, nth: int, code: int
) -> None:
    """A step that leaves the context in doubt, at any moment of any program."""

    async def scenario() -> None:
        backend = FakeBackend(LANGUAGE)
        backend.faults.fail_decode(code, nth=nth)
        callers = [Caller(program) for program in programs]
        async with open_tree(backend, CONFIG) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)
            await run_all(callers, model)
            while backend.faults.n_decodes < nth:
                await trio.lowlevel.checkpoint()
                await take_one(model)
            # A turn may have come to the model before the model heard of its failure; not two of them.
            again = await take_one(model) or await take_one(model)
            assert again is not None, "the next turn works"
            await wait_until_idle(model)
        for caller in callers:
            caller.check()
            assert caller.error is None or isinstance(caller.error, TurnTimeout | ModelUnavailable)
        assert backend.faults.n_loads <= 2

    explore(scenario, strategy=schedule, max_ticks=50_000)


async def take_one(model: Model) -> TurnResult | None:
    """Take a short turn; ``None`` if the model crashed under it."""
    try:
        return await model.complete("again", max_tokens=2, temperature=0.0)
    except ModelUnavailable:
        return None


@given(
    programs=programs_of_turns(max_turns=4),
    schedule=schedules(),
    at_s=st.sampled_from([0.0, 0.5, 1.0]),
    grace_s=st.sampled_from([0.0, 0.3, 100.0]),
    is_kill=st.booleans(),
)
def prop_unloading_or_killing_a_model_leaves_nobody_waiting(
    programs: list[TurnProgram], schedule: Strategy, at_s: float, grace_s: float, is_kill: bool
) -> None:
    """Every caller hears, in a bounded time; the memory is free; the name can be loaded again."""

    async def scenario() -> None:
        backend = FakeBackend(LANGUAGE)
        callers = [Caller(program) for program in programs]
        async with open_tree(backend, CONFIG) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_all, callers, model)
                await trio.sleep(at_s)
                if is_kill:
                    ref = rt.system.whereis(model_name("fake"))
                    assert ref is not None
                    rt.system.kill(ref, why="test")
                else:
                    await rt.unload("fake", grace_s=grace_s)
                    assert backend.ledger.n_open("context") == 0
            if not is_kill:
                model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)
            assert await take_one(model) is not None
        for caller in callers:
            caller.check()
            expected = TurnTimeout | ModelUnavailable | TurnCancelled | ModelNotLoaded
            assert caller.error is None or isinstance(caller.error, expected)

    explore(scenario, strategy=schedule, max_ticks=50_000)


@given(first=programs_of_turns(max_turns=3), second=programs_of_turns(max_turns=3), schedule=schedules())
def prop_two_models_on_one_host_do_not_know_of_each_other(
    first: list[TurnProgram], second: list[TurnProgram], schedule: Strategy
) -> None:
    async def scenario() -> None:
        backend = FakeBackend(LANGUAGE)
        callers = [[Caller(program) for program in programs] for programs in (first, second)]
        async with open_tree(backend, CONFIG) as rt:
            models = [
                await rt.load(name, "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12) for name in ("a", "b")
            ]
            async with trio.open_nursery() as nursery:
                for some, model in zip(callers, models, strict=True):
                    nursery.start_soon(run_all, some, model)
            for model in models:
                await wait_until_idle(model)
        for caller in (*callers[0], *callers[1]):
            caller.check()
            assert caller.error is None or isinstance(caller.error, TurnTimeout)

    explore(scenario, strategy=schedule, max_ticks=50_000)
