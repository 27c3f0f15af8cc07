"""A turn that stops anywhere and goes on is the one that never stopped: programs of cuts, forks, cancels."""

from __future__ import annotations

from itertools import cycle
from typing import Literal, TypeAlias

import trio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama import Model, TurnResult, demo, open_runtime
from actorllama.errors import TurnTimeout
from actorllama.native import SamplingParams
from actorllama.runtime import SamplingOptions
from actorllama.testing import Strategy, explore
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_oracle import ExpectedTurn, expected_turn
from actorllama.testing.strategies import schedules
from props.engine_strategies import TurnProgram, programs_of_turns
from props.prop_engine import CONFIG, CTX, LANGUAGE, N_SEQ, Caller, run_all, wait_until_idle
from tests.inline_tree import open_tree

Action: TypeAlias = Literal["go on", "leave and go on", "fork"]
ACTIONS: tuple[Action, ...] = ("go on", "go on", "leave and go on", "fork")
OTHER_SEED = 77


@frozen(kw_only=True)
class Saga:
    """One text, told in parts: how many tokens at a time, and what happens at each cut."""

    prompt: str
    options: SamplingOptions
    stop: tuple[str, ...]
    n_tokens: int
    cuts: tuple[int, ...]
    """Tokens of each part, over and over."""
    other_cuts: tuple[int, ...]
    """Those of a fork."""
    actions: tuple[Action, ...]
    leaves_after_s: float

    async def tell(self, model: Model) -> Told:
        """Tell it to the end; what is tried at the cuts beside it must not matter."""
        cuts, actions = cycle(self.cuts), cycle(self.actions)
        n_first = min(next(cuts), self.n_tokens)
        told = Told.of(
            await model.complete(self.prompt, max_tokens=n_first, stop=self.stop, keep=True, **self.options)
        )
        async with trio.open_nursery() as nursery:
            while not told.is_over(self.n_tokens):
                match next(actions):
                    case "go on":
                        pass
                    case "leave and go on":
                        with trio.move_on_after(self.leaves_after_s):
                            await self.finish(model, told, self.other_cuts)
                    case "fork":
                        nursery.start_soon(self.fork, model, told)
                told = await told.more(model, min(next(cuts), self.n_tokens - len(told.tokens)))
        return told

    async def finish(
        self, model: Model, told: Told, cuts: tuple[int, ...], *, seed: int | None = None
    ) -> Told:
        """Go on from here in parts of these lengths."""
        for n in cycle(cuts):
            if told.is_over(self.n_tokens):
                break
            told = await told.more(model, min(n, self.n_tokens - len(told.tokens)), seed=seed)
            seed = None
        return told

    async def fork(self, model: Model, told: Told) -> None:
        """Two ways to cut the rest are one text; so are two with another seed."""
        self.check(await self.finish(model, told, self.other_cuts))
        others = [
            await self.finish(model, told, cuts, seed=OTHER_SEED)
            for cuts in (self.other_cuts, (self.n_tokens,))
        ]
        assert others[0].tokens == others[1].tokens
        assert others[0].n_draws == others[1].n_draws

    def expected(self) -> ExpectedTurn:
        """Compute the unbroken turn, alone."""
        return expected_turn(
            LANGUAGE,
            LANGUAGE.tokenize(self.prompt, add_special=True, parse_special=False),
            SamplingParams(**self.options),
            max_tokens=self.n_tokens,
            stop=self.stop,
            ctx_per_seq=CTX,
        )

    def check(self, told: Told) -> None:
        """Insist on the tokens of the unbroken turn, and on its text but for what cannot be taken back."""
        want = self.expected()
        assert told.tokens == want.tokens
        assert (told.finish_reason, told.stop) == (want.finish_reason, want.stop)
        # A part shows the beginning of a stop string that its successor completes; nothing is shown twice.
        shown_of_stop = told.text[len(want.text) :]
        assert told.text == want.text + shown_of_stop
        assert (want.stop or "").startswith(shown_of_stop)


@frozen(kw_only=True)
class Told:
    """What has been told so far."""

    tokens: tuple[int, ...]
    text: str
    finish_reason: str
    stop: str | None
    n_draws: int
    key: str

    @classmethod
    def of(cls, part: TurnResult, *, tokens: tuple[int, ...] = (), text: str = "") -> Told:
        """Add a part to what came before it."""
        assert part.resume_key is not None
        return cls(
            tokens=tokens + part.tokens,
            text=text + part.text,
            finish_reason=part.finish_reason,
            stop=part.stop,
            n_draws=part.n_draws,
            key=part.resume_key,
        )

    def is_over(self, n_tokens: int) -> bool:
        """Whether the unbroken turn would have ended here."""
        return self.finish_reason != "length" or len(self.tokens) == n_tokens

    async def more(self, model: Model, n: int, *, seed: int | None = None) -> Told:
        """Go on for at most ``n`` tokens."""
        part = await model.resume(self.key, max_tokens=n, seed=seed)
        assert part.usage.n_cached == part.usage.n_prompt - 1
        assert part.exactness == "exact"
        return Told.of(part, tokens=self.tokens, text=self.text)


def sagas() -> st.SearchStrategy[Saga]:
    """Draw texts in parts, with what the fake sampler has; none of them fills its sequence.

    A full one cannot be resumed (``ContextFull``), whatever the unbroken turn does with its last cell.
    """
    options: st.SearchStrategy[SamplingOptions] = st.builds(
        SamplingOptions,
        temperature=st.sampled_from([0.0, 0.8, 1.5]),
        seed=st.integers(0, 5),
        top_k=st.sampled_from([0, 3, 40]),
        min_p=st.sampled_from([0.0, 0.05]),
        repeat_penalty=st.sampled_from([1.0, 1.3]),
        frequency_penalty=st.sampled_from([0.0, 0.5]),
        penalty_last_n=st.sampled_from([-1, 0, 3, 64]),
    )
    lengths = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
    stops = st.sampled_from(["a", "e", "th", "the", "\n\n", "STOP", "€", " a", "lla"])
    return st.builds(
        Saga,
        prompt=st.text("ab ", min_size=1, max_size=8),
        options=options,
        stop=st.lists(stops, max_size=2).map(tuple),
        n_tokens=st.integers(1, CTX - 10),
        cuts=lengths,
        other_cuts=lengths,
        actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4).map(tuple),
        leaves_after_s=st.sampled_from([0.0, 0.5]),
    )


@given(
    some=st.lists(sagas(), min_size=1, max_size=3),
    neighbours=programs_of_turns(max_turns=2),
    schedule=schedules(),
)
def prop_a_turn_in_parts_is_the_unbroken_turn(
    some: list[Saga], neighbours: list[TurnProgram], schedule: Strategy
) -> None:
    """Whatever is cut, forked, told differently, cancelled or runs beside it."""

    async def scenario() -> None:
        backend = FakeBackend(LANGUAGE)
        callers = [Caller(program) for program in neighbours]
        async with open_tree(backend, CONFIG) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)

            async def tell(saga: Saga) -> None:
                saga.check(await saga.tell(model))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_all, callers, model)
                for saga in some:
                    nursery.start_soon(tell, saga)
            await wait_until_idle(model)
            assert backend.ledger.n_open("sampler") == 0
        for caller in callers:
            caller.check()
            assert caller.error is None or isinstance(caller.error, TurnTimeout)

    explore(scenario, strategy=schedule, max_ticks=100_000)


def full_chains() -> st.SearchStrategy[SamplingOptions]:
    """Draw every stage that has a state or draws random numbers."""
    return st.builds(
        SamplingOptions,
        temperature=st.sampled_from([0.8, 1.3]),
        dynatemp_range=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 2**31),
        typical_p=st.sampled_from([1.0, 0.9]),
        top_n_sigma=st.sampled_from([0.0, 2.0]),
        repeat_penalty=st.sampled_from([1.0, 1.2]),
        presence_penalty=st.sampled_from([0.0, 0.3]),
        penalty_last_n=st.sampled_from([-1, 5, 64]),
        dry_multiplier=st.sampled_from([0.0, 0.8]),
        dry_penalty_last_n=st.sampled_from([-1, 9]),
        xtc_probability=st.sampled_from([0.0, 0.5]),
        mirostat=st.sampled_from([0, 0, 1, 2]),
        grammar=st.sampled_from([None, "root ::= [A-Za-z ,.]+"]),
    )


@settings(max_examples=max(3, settings().max_examples // 40))
@given(
    options=full_chains(),
    cuts=st.lists(st.integers(1, 11), min_size=1, max_size=4),
    n_beside=st.integers(0, 2),
)
def prop_the_demo_model_goes_on_exactly_with_the_full_chain(
    options: SamplingOptions, cuts: list[int], n_beside: int
) -> None:
    """llama.cpp itself, its own thread, and neighbours that share its steps."""
    n_tokens = 32

    async def scenario() -> None:
        async with open_runtime() as rt:
            model = await rt.load("demo", demo.model_path(), n_seq=3, ctx_per_seq=256, n_threads=1)
            whole = await model.complete("Once there was", max_tokens=n_tokens, **options)
            lengths = cycle(cuts)
            async with trio.open_nursery() as nursery:
                for index in range(n_beside):
                    nursery.start_soon(lambda seed: model.complete("A dog", max_tokens=200, seed=seed), index)
                told = Told.of(
                    await model.complete(
                        "Once there was", max_tokens=min(next(lengths), n_tokens), keep=True, **options
                    )
                )
                while not told.is_over(n_tokens):
                    told = await told.more(model, min(next(lengths), n_tokens - len(told.tokens)))
                nursery.cancel_scope.cancel()
        assert told.tokens == whole.tokens
        assert told.text == whole.text
        assert (told.finish_reason, told.n_draws) == (whole.finish_reason, whole.n_draws)

    trio.run(scenario)
