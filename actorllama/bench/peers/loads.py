"""The loads: what contestants are asked, in which order, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import trio
from attrs import evolve, frozen

from actorllama.bench.harness import in_turns
from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.options import Load, PeersOptions, said
from actorllama.bench.peers.roster import Entry
from actorllama.bench.peers.side import Side, sides_of

__all__ = [
    "Part",
    "Talk",
    "compare_with_unbroken",
    "conversations",
    "crowd",
    "look_at_rest",
    "memory",
    "turns",
    "warm_up",
]

Talk: TypeAlias = dict[int, list[tuple[Ask, Taken]]]
"""What one contestant was asked and answered, by conversation."""

_N_WARM_UP = 64


@frozen(kw_only=True)
class Part:
    """A load that all have been through."""

    load: Load
    case: str
    sides: tuple[Side, ...]


async def turns(
    options: PeersOptions, entries: Sequence[Entry], setup: Setup, n: int, note: Callable[[str], None]
) -> Part:
    """Have ``n`` conversations take their turns at the same time, each in a slot of its own."""
    own = evolve(setup, n_slots=n, ctx_per_slot=options.turns_cells)
    openings = [said(options.n_turn_prompt, f"turns {n} of {number}") for number in range(n)]
    async with sides_of(entries, own) as sides:
        await warm_up(sides, n)
        talks = _Talks(options, openings, n_reply=options.n_turn_reply, n_lanes=n)
        await talks.run(sides, n_rounds=options.n_rounds)
        await look_at_rest(sides, options)
    note(f"turns: {n} side by side")
    return Part(load="turns", case=f"{n} side by side", sides=sides)


async def conversations(
    options: PeersOptions, entries: Sequence[Entry], setup: Setup, note: Callable[[str], None]
) -> Part:
    """Hold conversations with one system prompt, all at the same time, each in a slot of its own."""
    n = options.n_conversations
    own = evolve(setup, n_slots=n, ctx_per_slot=options.conversation_cells)
    system = said(options.n_system, "system prompt")
    openings = [system + said(options.n_user, f"first message of {number}") for number in range(n)]
    async with sides_of(entries, own) as sides:
        await warm_up(sides, n)
        await _Talks(options, openings, n_reply=options.n_reply, n_lanes=n).run(
            sides, n_rounds=options.n_conversation_turns
        )
        await look_at_rest(sides, options)
    note(f"conversations: {n} of {options.n_conversation_turns} turns")
    case = f"{n} of {options.n_conversation_turns} turns, system prompt of {options.n_system} tokens"
    return Part(load="conversations", case=case, sides=sides)


async def crowd(
    options: PeersOptions, entries: Sequence[Entry], setup: Setup, note: Callable[[str], None]
) -> Part:
    """Hold more conversations than there are slots: as many turns at a time as slots, in a circle.

    The round in which they begin does not count: what is measured is coming back. Whether what has no slot
    fits into the RAM cache is the setup's to say.
    """
    n, n_slots = options.n_crowd, options.n_crowd_slots
    own = evolve(setup, n_slots=n_slots, ctx_per_slot=options.crowd_cells)
    openings = [said(options.n_crowd_opening, f"crowd {number}") for number in range(n)]
    talks = _Talks(options, openings, n_reply=options.n_reply, n_lanes=n_slots)
    async with sides_of(entries, own) as sides:
        await warm_up(sides, n_slots)
        await talks.run(sides, n_rounds=options.n_crowd_rounds, first_counted=1)
        await look_at_rest(sides, options)
    case = f"{n} conversations, {n_slots} slots, RAM cache of {setup.ram_cache_bytes >> 20} MB"
    note(f"crowd: {case}")
    checked = range(min(options.n_checked, n))
    for side in sides:
        talk = {number: talks.of(side).get(number, []) for number in checked}
        await compare_with_unbroken(side, entries, own, talk, first=1)
    note("crowd: compared with unbroken conversations")
    return Part(load="crowd", case=case, sides=sides)


async def memory(
    options: PeersOptions, entries: Sequence[Entry], setup: Setup, note: Callable[[str], None]
) -> Part:
    """Have everyone hold the same conversations with nothing kept besides the live contexts."""
    n = options.n_memory
    own = evolve(setup, n_slots=n, ctx_per_slot=options.memory_cells, ram_cache_bytes=0, is_bare=True)
    openings = [said(options.n_memory_prompt, f"memory {number}") for number in range(n)]
    async with sides_of(entries, own) as sides:
        await _Talks(options, openings, n_reply=options.n_reply, n_lanes=n).run(sides, n_rounds=1)
        await look_at_rest(sides, options)
    note(f"memory: {n} conversations without a cache")
    case = f"{n} of {options.n_memory_prompt} tokens in slots of {options.memory_cells}, no cache"
    return Part(load="memory", case=case, sides=sides)


async def look_at_rest(sides: Sequence[Side], options: PeersOptions) -> None:
    """Read what everyone takes once nobody has been asked for a while: peaks are read besides."""
    await trio.sleep(options.rest_s)
    for side in sides:
        await side.look()


async def warm_up(sides: Sequence[Side], n_lanes: int) -> None:
    """Take a short turn in every slot, of prompts that have nothing to do with what comes."""
    for side in sides:
        asks = [
            Ask(conversation=-1 - lane, prompt=said(_N_WARM_UP, f"warm-up {lane}"), n_reply=8)
            for lane in range(n_lanes)
        ]
        await side.take_round([[ask] for ask in asks], is_counted=False)


async def compare_with_unbroken(
    side: Side, entries: Sequence[Entry], setup: Setup, talk: Talk, *, first: int
) -> None:
    """Ask the same contestant the same, one conversation after the other, with nothing in between.

    Args:
        side: Who has held the conversations; it has ended.
        entries: Everyone.
        setup: How it was started; now it gets one slot, no cache, and nothing that was saved.
        talk: What it was asked and answered, by conversation.
        first: The first turn of each whose reply is compared.
    """
    if not side.is_in:
        return
    entry = next(entry for entry in entries if entry.name == side.name)
    alone = evolve(setup, n_slots=1, ram_cache_bytes=0, root=Path(f"{setup.root}-unbroken"))
    async with sides_of([entry], alone) as (again,):

        async def work() -> None:
            for turns_taken in talk.values():
                replies: list[tuple[int, ...]] = []
                key: str | None = None
                for ask, _ in turns_taken:
                    taken = await again.take(evolve(ask, slot=None, after=key))
                    replies.append(taken.reply)
                    key = taken.key
                side.check([before.reply for _, before in turns_taken[first:]], replies[first:])

        await again.attempt(work)
    if again.error is not None:
        side.error = f"the unbroken run: {again.error}"


class _Talks:
    """Conversations that grow by what each contestant itself has replied. Owner: the load."""

    def __init__(
        self, options: PeersOptions, openings: Sequence[tuple[int, ...]], *, n_reply: int, n_lanes: int
    ) -> None:
        self._options = options
        self._openings = openings
        self._n_reply = n_reply
        self._n_lanes = n_lanes
        self._said: dict[str, Talk] = {}

    def of(self, side: Side) -> Talk:
        """Give what was asked and answered."""
        return self._said.get(side.name, {})

    async def run(self, sides: Sequence[Side], *, n_rounds: int, first_counted: int = 0) -> None:
        """Have all conversations take a turn in each round; contestants in alternating order."""
        each = [partial(self._round, side, first_counted) for side in sides]
        await in_turns(*each, n_rounds=n_rounds, n_warm_up=0)

    async def _round(self, side: Side, first_counted: int, number: int) -> None:
        talk = self._said.setdefault(side.name, {})
        lanes: list[list[Ask]] = [[] for _ in range(self._n_lanes)]
        for conversation, opening in enumerate(self._openings):
            before = talk.setdefault(conversation, [])
            prompt, after = opening, None
            if before:
                ask, taken = before[-1]
                message = said(self._options.n_user, f"message {number} of {conversation}")
                prompt, after = ask.prompt + taken.reply + message, taken.key
            ask = Ask(conversation=conversation, prompt=prompt, n_reply=self._n_reply, after=after)
            lanes[conversation % self._n_lanes].append(ask)
        takens = await side.take_round(lanes, is_counted=number >= first_counted)
        for ask, taken in zip((ask for lane in lanes for ask in lane), takens, strict=False):
            talk[ask.conversation].append((ask, taken))
