"""Texts told in parts: what is drawn of them, and how a part is told and checked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Literal, TypeAlias, assert_never

import trio
from attrs import define, field, frozen
from hypothesis import strategies as st

from actorllama import Model, TurnResult
from actorllama.errors import ContextFull, SnapshotNotFound
from actorllama.runtime import SamplingOptions
from props.memories import CTX

__all__ = ["Act", "Losses", "Part", "Story", "StoryPlan", "acts", "full_chains", "story_plans"]

Act: TypeAlias = Literal["go on", "rest", "fork", "leave", "step back"]
"""Tell one part more; tell all that is left at once; tell it differently, twice; begin a part and leave
it; forget the last part and go on from the one before."""
ACTS: tuple[Act, ...] = ("go on", "go on", "go on", "rest", "fork", "leave", "step back")
OTHER_SEED = 77
_N_FORKED = 7
_N_BEYOND = 2
_N_BYTES = 256  # token ids that every vocabulary here has


@frozen(kw_only=True)
class StoryPlan:
    """One text: what it is asked for as a whole, and where it is cut."""

    prompt: tuple[int, ...]
    options: SamplingOptions
    stop: tuple[str, ...]
    n_tokens: int
    cuts: tuple[int, ...]
    """Tokens of each part, over and over."""
    leaves_after_s: float

    async def tell_whole(self, model: Model) -> TurnResult:
        """Tell it without a break, alone, where there is room for all of it."""
        return await model.complete(self.prompt, max_tokens=self.n_tokens, stop=self.stop, **self.options)


@frozen(kw_only=True)
class Part:
    """A boundary that was kept: what had been told by then, and its key."""

    tokens: tuple[int, ...]
    text: str
    logprobs: tuple[object, ...]
    finish_reason: str
    stop: str | None
    n_draws: int
    key: str
    is_exact: bool
    """Whether its turn and all before it said that they were."""


@define(kw_only=True)
class Losses:
    """What was taken from the disk: only this may be missing."""

    keys: set[str] = field(factory=set[str])
    """Of turns."""
    has_rows: bool = False
    """Whether any cells were taken; their turns are computed again."""


@define(kw_only=True)
class Story:
    """A text on its way: its boundaries so far, the oldest first; they outlive every runtime."""

    plan: StoryPlan
    whole: TurnResult
    losses: Losses
    n_spare: int
    """Cells that its sequence leaves free."""
    ctx: int = CTX
    """Cells of its sequence, where it is told now."""
    parts: list[Part] = field(factory=list[Part])
    cuts: Iterator[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cuts = cycle(self.plan.cuts)

    @property
    def last(self) -> Part | None:
        """Where it stands."""
        return self.parts[-1] if self.parts else None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, is as long as it was to be, or as long as it can be here."""
        last = self.last
        has_ended = last is not None and (last.finish_reason in ("end", "stop") or self.n_left == 0)
        return has_ended or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether every cell is taken; a part may have ended for its length at the same moment."""
        return self.n_cells >= self.ctx - self.n_spare

    @property
    def n_cells(self) -> int:
        """Cells that it has, or needs to begin: the last token of a part has none yet."""
        return len(self.plan.prompt) + (len(self.parts[-1].tokens) - 1 if self.parts else 0)

    @property
    def n_left(self) -> int:
        """Tokens that may still come."""
        return self.plan.n_tokens - (len(self.parts[-1].tokens) if self.parts else 0)

    async def act(self, model: Model, act: Act) -> None:
        """Do one thing with it; one that is over only goes on where it is forgotten in part."""
        match act if self.parts else "go on":
            case "go on":
                await self.tell(model, next(self.cuts))
            case "rest":
                await self.tell(model, self.n_left)
            case "fork":
                await self.fork(model)
            case "leave":
                with trio.move_on_after(self.plan.leaves_after_s):
                    if not self.is_over:
                        await self.continued(model, self.n_left)
            case "step back":
                if len(self.parts) > 1:
                    self.parts.pop()
            case _:
                assert_never(act)

    async def finish(self, model: Model) -> None:
        """Tell it to its end, from whatever is left of it."""
        while not self.is_over:
            await self.tell(model, next(self.cuts))

    async def tell(self, model: Model, n_tokens: int) -> None:
        """Tell the next part, of at most so many tokens; without its boundary fall back to the one before."""
        if self.is_over:
            return
        result = await self.continued(model, n_tokens)
        if result is None:
            self.parts.pop()
            return
        last = self.last
        assert result.resume_key is not None
        self.add(
            Part(
                tokens=(last.tokens if last else ()) + result.tokens,
                text=(last.text if last else "") + result.text,
                logprobs=(last.logprobs if last else ()) + (result.logprobs or ()),
                finish_reason=result.finish_reason,
                stop=result.stop,
                n_draws=result.n_draws,
                key=result.resume_key,
                is_exact=(last is None or last.is_exact) and self.must_be_exact(result),
            )
        )

    def add(self, part: Part) -> None:
        """Have one part more, and insist on what its level promises."""
        self.parts.append(part)
        if part.finish_reason == "length":
            assert self.n_left == 0 or not self.is_full or self.n_cells <= self.ctx
        if part.finish_reason == "context":
            assert self.is_full
        if part.is_exact:
            self.check(part)

    def must_be_exact(self, result: TurnResult) -> bool:
        """Tell whether its tokens must be those of the unbroken turn.

        Where cells were lost, others of the same tokens that were computed again may have taken their place.
        """
        return result.exactness == "exact" and not self.losses.has_rows

    async def continued(self, model: Model, n_tokens: int, *, seed: int | None = None) -> TurnResult | None:
        """Take one turn from the last boundary; ``None`` if that was lost."""
        n_tokens = max(1, min(n_tokens, self.n_left))
        last = self.last
        if last is None:
            plan = self.plan
            return await model.complete(
                plan.prompt, max_tokens=n_tokens, stop=plan.stop, keep=True, **plan.options
            )
        return await self.resumed(model, last.key, n_tokens, seed=seed)

    async def resumed(
        self, model: Model, key: str, n_tokens: int, *, seed: int | None = None
    ) -> TurnResult | None:
        """Go on from a boundary that must be there, unless it was taken away."""
        try:
            result = await model.resume(key, max_tokens=n_tokens, seed=seed)
        except SnapshotNotFound:
            assert key in self.losses.keys
            return None
        has_all = result.usage.n_cached == result.usage.n_prompt - 1
        assert (result.exactness != "recomputed") == has_all
        assert has_all or self.losses.has_rows
        return result

    async def fork(self, model: Model) -> None:
        """Tell the rest with another seed, whole and cut once: two stories that are one."""
        if self.is_over or not self.parts:
            return
        whole = await self.continued(model, _N_FORKED, seed=OTHER_SEED)
        first = await self.continued(model, min(next(self.cuts), _N_FORKED - 1), seed=OTHER_SEED)
        if whole is None or first is None or first.finish_reason != "length":
            return
        assert first.resume_key is not None
        # The whole fork may have ended for want of a cell where its first part ended for its length.
        n_more = len(whole.tokens) - len(first.tokens)
        rest = await self.resumed(model, first.resume_key, n_more) if n_more > 0 else None
        if rest is not None and all(map(self.must_be_exact, (whole, first, rest))):
            assert first.tokens + rest.tokens == whole.tokens
            assert rest.n_draws == whole.n_draws

    def check(self, told: Part) -> None:
        """Insist on the unbroken turn, and on its text but for what cannot be taken back."""
        want, n = self.whole, len(told.tokens)
        assert told.tokens == want.tokens[:n]
        assert told.logprobs == (want.logprobs or ())[:n]
        if n < len(want.tokens):
            assert told.finish_reason in ("length", "context")
            return
        if want.finish_reason in ("end", "stop"):
            assert told.finish_reason == want.finish_reason
        assert told.stop == want.stop
        assert told.n_draws == want.n_draws
        # A part shows the beginning of a stop string that its successor completes; nothing is shown twice.
        shown_of_stop = told.text[len(want.text) :]
        assert told.text == want.text + shown_of_stop
        assert (want.stop or "").startswith(shown_of_stop)

    async def go_beyond(self, model: Model) -> None:
        """Go on after the end: a full sequence says so, any other answers, and nothing breaks."""
        last = self.last
        if last is None:
            return
        try:
            await self.resumed(model, last.key, _N_BEYOND)
        except ContextFull:
            assert self.is_full


def full_chains() -> st.SearchStrategy[SamplingOptions]:
    """Draw every stage that has a state or draws random numbers, and every way to hold a text to a form."""
    forms: tuple[dict[str, object], ...] = (
        {},
        {},
        {},
        {"grammar": "root ::= [A-Za-z ,.]+"},
        {"grammar": 'root ::= ("a" | "b" | " ")+ "." [a-z]*'},
        {"regex": "[a-z]{2,30}( [a-z]+)*"},
        {"choice": ("once upon a time", "once more", "nothing")},
        {"json_schema": {"type": "array", "items": {"type": "integer"}, "maxItems": 5}},
        {"grammar": "root ::= [a-z]+", "grammar_triggers": ("e", "ab")},
    )
    draws: tuple[dict[str, object], ...] = (
        {},
        {},
        {"mirostat": 1},
        {"mirostat": 2},
        {"adaptive_target": 0.3},
    )
    return st.builds(_chain, st.fixed_dictionaries(_STAGES), st.sampled_from(forms), st.sampled_from(draws))


def _chain(*parts: dict[str, object]) -> SamplingOptions:
    """Join stages, form and draw."""
    joined = SamplingOptions()
    for part in parts:
        joined.update(part)  # type: ignore[typeddict-item]  # checked with the request
    return joined


_STAGES: dict[str, st.SearchStrategy[object]] = {
    "temperature": st.sampled_from([0.0, 0.8, 1.3]),
    "dynatemp_range": st.sampled_from([0.0, 0.3]),
    "seed": st.integers(0, 2**31),
    "top_k": st.sampled_from([0, 3, 40]),
    "typical_p": st.sampled_from([1.0, 0.9]),
    "top_n_sigma": st.sampled_from([0.0, 2.0]),
    "repeat_penalty": st.sampled_from([1.0, 1.2]),
    "presence_penalty": st.sampled_from([0.0, 0.3]),
    "penalty_last_n": st.sampled_from([-1, 5, 64]),
    "dry_multiplier": st.sampled_from([0.0, 0.8]),
    "dry_penalty_last_n": st.sampled_from([-1, 9]),
    "xtc_probability": st.sampled_from([0.0, 0.5]),
    "logprobs": st.sampled_from([None, None, 0, 3]),
}


def _prompt(first: int, step: int, n_tokens: int) -> tuple[int, ...]:
    return tuple((first + step * index) % _N_BYTES for index in range(n_tokens))


def story_plans(*, max_prompt: int = 70) -> st.SearchStrategy[StoryPlan]:
    """Draw texts; some begin before gemma3's window of 32, some fill their sequence."""
    stops = st.sampled_from(["a", "e", "th", "the", "\n", "STOP", "\ufffd", " a", "\ufffdx"])
    return st.builds(
        StoryPlan,
        prompt=st.builds(
            _prompt,
            st.one_of(st.sampled_from([20, 77]), st.integers(4, _N_BYTES - 1)),
            st.one_of(st.just(7), st.integers(0, 30)),
            st.integers(1, max_prompt),
        ),
        options=full_chains(),
        stop=st.lists(stops, max_size=2).map(tuple),
        n_tokens=st.one_of(st.integers(1, 30), st.just(2 * CTX)),
        cuts=st.lists(st.integers(1, 25), min_size=1, max_size=4).map(tuple),
        leaves_after_s=st.sampled_from([0.0, 0.001, 0.004]),
    )


def acts() -> st.SearchStrategy[tuple[Act, ...]]:
    """Draw what is done with a text while one runtime lives."""
    return st.lists(st.sampled_from(ACTS), max_size=4).map(tuple)
