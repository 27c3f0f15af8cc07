"""The load of a restart: long conversations, a new process in the middle, and prompts that are new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

from attrs import evolve

from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.loads import Part, Talk, compare_with_unbroken, warm_up
from actorllama.bench.peers.options import PeersOptions, said
from actorllama.bench.peers.roster import Entry
from actorllama.bench.peers.side import Side, sides_of

__all__ = ["restart"]

_N_COLD = 2


async def restart(
    options: PeersOptions, entries: Sequence[Entry], setup: Setup, note: Callable[[str], None]
) -> Part:
    """Take one turn of each conversation, end the process, start it anew, and go on with all of them.

    One contestant after the other, one turn at a time. There is a slot for each conversation, and one for
    the prompts that are new: they are as long as the conversations, and give the time to compare with.
    """
    n = options.n_restarted
    own = evolve(setup, n_slots=n + 1, ctx_per_slot=options.restart_cells)
    done: list[Side] = []
    for entry in entries:
        talk: Talk = {}
        async with sides_of([entry], own) as (before,):
            await warm_up([before], 1)
            await before.attempt(partial(_begin, before, options, talk))
            await before.look()
        if not before.is_in:
            done.append(before)
            continue
        async with sides_of([entry], own) as (after,):
            await after.attempt(partial(_go_on, after, options, talk))
            await after.look()
        after.stop_s, after.disk_bytes = before.stop_s, before.disk_bytes
        await compare_with_unbroken(after, entries, own, talk, first=1)
        done.append(after)
        note(f"restart: {entry.name}")
    case = f"{n} conversations of {options.n_restart_prompt} tokens, then {options.n_restart_message} more"
    return Part(load="restart", case=case, sides=tuple(done))


async def _begin(side: Side, options: PeersOptions, talk: Talk) -> None:
    for number in range(options.n_restarted):
        prompt = said(options.n_restart_prompt, f"restart {number}")
        ask = Ask(conversation=number, prompt=prompt, n_reply=options.n_reply, slot=number)
        talk[number] = [(ask, await side.take(ask))]
    await side.contestant.settle(range(options.n_restarted))


async def _go_on(side: Side, options: PeersOptions, talk: Talk) -> None:
    back: list[Taken] = []
    for number in range(options.n_restarted):
        ask, taken = talk[number][0]
        message = said(options.n_restart_message, f"message 1 of {number}")
        ask = evolve(ask, prompt=ask.prompt + taken.reply + message, after=taken.key)
        asked_s = perf_counter()
        await side.contestant.bring_back(number)
        taken = evolve(await side.take(ask), asked_s=asked_s)
        talk[number].append((ask, taken))
        back.append(taken)
    side.rounds.append((tuple(back), sum(taken.ended_s - taken.asked_s for taken in back)))
    n_prompt = max(len(turns[1][0].prompt) for turns in talk.values())
    for number in range(_N_COLD):
        ask = Ask(
            conversation=options.n_restarted,
            prompt=said(n_prompt, f"cold {number}"),
            n_reply=options.n_reply,
            slot=options.n_restarted,
        )
        side.cold_first_token_s.append((await side.take(ask)).first_token_s)
