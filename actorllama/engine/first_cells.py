"""Where turns that wait could get their first cells from: a sequence, the cache, or a turn that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

from actorllama.actors import Ref
from actorllama.engine.cache_messages import FindPrefix, KeepCells
from actorllama.engine.canary import Exactness
from actorllama.engine.commands import CaptureCells, Command
from actorllama.engine.context_cells import ContextCells
from actorllama.engine.reports import CapturedCells, LoopStatistics
from actorllama.engine.spec import ModelSpec
from actorllama.engine.taken_turn import TakenTurn
from actorllama.ids import TurnId

__all__ = ["FirstCells"]

_N_READ_AHEAD = 1  # turns for which saved cells are fetched before there is a sequence for them


class FirstCells:
    """Look for the cells that turns begin with, and share those that several of them wait for.

    Each turn is looked at in the order in which it was taken, and says in its ``phase`` what came of it.

    Owner: the turn desk, whose queue and running turns it is shown at each call.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        cells: ContextCells,
        exactness: Exactness,
        queue: Callable[[], Iterable[TakenTurn]],
        running: Mapping[TurnId, TakenTurn],
        submit: Callable[[Command], None],
        find: Callable[[FindPrefix], bool],
        reply_to: Ref,
        statistics: Callable[[], LoopStatistics | None],
    ) -> None:
        """Look on behalf of one desk.

        Args:
            spec: Name and bounds.
            cells: What the sequences hold, and which are free.
            exactness: The level that holds in the context.
            queue: Lists the turns that wait, in order.
            running: The turns that have a sequence; the desk's own mapping.
            submit: Hands a command to the engine loop.
            find: Asks the cache for a prefix; False if there is none to ask.
            reply_to: Gets the answers of the cache.
            statistics: What the loop had done last: how long prompts take.
        """
        self._options = spec.engine_options
        self._cells = cells
        self._exactness: Exactness = exactness
        self._queue = queue
        self._running = running
        self._submit = submit
        self._find = find
        self._reply_to = reply_to
        self._statistics = statistics

    def move(self, cells: ContextCells, exactness: Exactness) -> None:
        """Go on with another context."""
        self._cells, self._exactness = cells, exactness

    def look_ahead(self) -> None:
        """Find out for the next few where their first cells come from; one copy for many counts once."""
        n_left = self._cells.n_free + _N_READ_AHEAD
        copies: set[tuple[TurnId | None, int]] = set()
        for taken in self._queue():
            if n_left == 0:
                return
            if taken.phase == "new":
                self.look(taken)
            copy = (taken.leader, taken.n_awaited)
            if taken.leader is None or copy not in copies:
                n_left -= 1
            copies.add(copy)

    def look(self, taken: TakenTurn) -> None:
        """Find out where one turn's first cells come from: ask, wait for another turn, or be ready."""
        n_most = len(taken.prefix.tokens)
        n_had = taken.n_found = self._cells.n_available(taken)
        taken.phase, taken.leader, taken.n_saved = "ready", None, 0
        taken.n_looks += 1
        if n_had == n_most or self.follow(taken, n_had) or not self._reuses(taken):
            return
        # What goes on from an earlier turn takes every cell of it; what only begins alike, enough of them.
        n_more = 1 if n_had < taken.message.request.n_past else self._options.n_reuse
        if n_most - n_had >= n_more and self._find(self._question(taken, n_had, n_had + n_more)):
            taken.ask(perf_counter())

    def follow(self, taken: TakenTurn, n_had: int) -> bool:
        """Wait for a running turn that is about to compute what this one begins with, if there is one."""
        # What goes on from an earlier turn has cells of its own, and the leader's are not those.
        if taken.message.request.goes_on or not (taken.may_follow and self._reuses(taken)):
            return False
        best = self._cells.find_leader(taken.prefix, self._running.values())
        if best is None or best.n_cells - n_had < self._options.n_reuse:
            return False
        followers = (other for other in self._queue() if other.phase == "following")
        awaited = {other.n_awaited for other in followers if other.leader == best.turn_id}
        n_cells = self._cells.plan_copy(best.n_cells, n_had=n_had, awaited=awaited)
        if n_cells not in awaited:
            or_more = not self._cells.needs_boundary  # the cache cuts what begins alike out of it
            self._submit(CaptureCells(turn_id=best.turn_id, n_cells=n_cells, or_more=or_more))
        taken.phase, taken.leader, taken.n_awaited = "following", best.turn_id, n_cells
        return True

    def share(self, captured: CapturedCells, *, has_ended: bool) -> KeepCells | None:
        """Give cells that were just computed to the turns that waited for them.

        Args:
            captured: The copy.
            has_ended: Whether the turn that computed them is over.

        Returns:
            What the cache is to keep of it: who comes later may not have to compute it.
        """
        leader = self._running.get(captured.turn_id)
        if leader is not None and (captured.kv is None or captured.tokens):
            leader.n_passed = max(captured.n_cells, len(captured.tokens))
        for taken in self._queue():
            if (taken.leader, taken.n_awaited) != (captured.turn_id, captured.n_cells):
                continue
            if taken.phase != "following":
                continue
            if captured.kv is None or captured.tokens:
                # Where the leader was past that point, another would be too: the cache has it, or nobody.
                taken.phase, taken.leader, taken.may_follow = "new", None, has_ended
            elif leader is not None:
                self._cells.offer(taken, captured)
        if captured.kv is None or leader is None:
            return None
        return self._cells.kept_prefix(leader, captured)

    def lose_leader(self, turn_id: TurnId) -> None:
        """Let those that followed a turn look again: it has ended."""
        for follower in self._queue():
            if follower.leader == turn_id and follower.phase == "following":
                follower.phase, follower.leader = "new", None

    def _question(self, taken: TakenTurn, n_had: int, n_least: int) -> FindPrefix:
        n_most = len(taken.prefix.tokens)
        request = taken.message.request
        statistics = self._statistics()
        if statistics is not None:
            self._cells.learn(statistics)
        return FindPrefix(
            turn_id=taken.message.turn_id,
            namespace=self._cells.namespace_of(request),
            tokens=request.marked[: n_most + 1],
            n_had=n_had,
            n_least=n_least,
            # What goes on from an earlier turn is restored whatever it costs: recomputed it is not the same.
            token_s=None if request.goes_on else self._cells.token_s,
            cutter=self._cells.cutter,
            reply_to=self._reply_to,
        )

    def _reuses(self, taken: TakenTurn) -> bool:
        """Tell whether a turn may have cells that are not in its sequence."""
        is_wanted = self._options.prefix_cache or taken.message.request.goes_on
        return is_wanted and self._exactness != "recomputed"
