"""A turn desk over a real engine loop on a fake context, driven by hand: tests answer for the cache."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from attrs import define

from actorllama.actors import Caller, Ref
from actorllama.engine import EngineOptions, ModelSpec, TakeTurn, TurnRecord, TurnRequest, TurnResult
from actorllama.engine.cache_messages import FindPrefix, KeepCells, PrefixFound
from actorllama.engine.canary import Exactness
from actorllama.engine.commands import Command, RestoredState, StartTurn
from actorllama.engine.context_cells import ContextCells
from actorllama.engine.delivery import Delivery
from actorllama.engine.lineage import plain
from actorllama.engine.loop import EngineLoop
from actorllama.engine.reports import StepReport
from actorllama.engine.turn_desk import TurnDesk
from actorllama.ids import TurnId
from actorllama.kvcache import Snapshot
from actorllama.native import ContextOptions, ModelOptions, SamplingParams
from actorllama.telemetry import Bus
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_cutter import FakeCutter
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import expected_turn

__all__ = ["N_BLOCK", "Asker", "DeskRig", "open_desk", "state_of"]

N_BLOCK = 4
N_REUSE = 4


def state_of(tokens: Sequence[int]) -> memoryview:
    """Write a state as the fake context does."""
    cells = b"".join(
        position.to_bytes(8, "little") + token.to_bytes(8, "little") for position, token in enumerate(tokens)
    )
    return memoryview(b"FAKE" + len(tokens).to_bytes(4, "little") + cells)


@define(eq=False)
class Asker:
    """Who called: what the desk needs of a `Caller`."""

    request: TurnRequest
    result: TurnResult | None = None
    error: BaseException | None = None
    has_left: bool = False

    @property
    def is_waiting(self) -> bool:
        return not (self.has_left or self.result or self.error)

    @property
    def got(self) -> TurnResult:
        assert self.result is not None, self.error
        return self.result

    def reply(self, value: TurnResult) -> None:
        assert self.is_waiting
        self.result = value

    def reply_error(self, error: BaseException) -> None:
        assert self.is_waiting
        self.error = error


class WholeCutter(FakeCutter):
    """Of a memory that can only be gone on from where it was saved."""

    needs_boundary = True


class DeskRig:
    """A desk, its loop, and what passed between them."""

    def __init__(
        self,
        backend: FakeBackend,
        *,
        n_seq: int,
        ctx_per_seq: int,
        has_cache: bool,
        needs_boundary: bool,
        exactness: Exactness,
        options: EngineOptions,
    ) -> None:
        self.backend = backend
        self.model = backend.load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
        self.context = self.model.open_context(
            ContextOptions(n_seq=n_seq, ctx_per_seq=ctx_per_seq, n_batch=16)
        )
        self.questions: list[FindPrefix] = []
        self.kept: list[KeepCells] = []
        self.commands: list[Command] = []
        self.reports: list[StepReport] = []
        self.loop = EngineLoop(
            context=self.context,
            vocabulary=self.model.vocabulary,
            post=self.reports.append,
            n_mixed=16,
            n_together=32,
        )
        self.cells = ContextCells(
            n_slots=n_seq,
            namespace="ab",
            block_tokens=N_BLOCK,
            n_reuse=options.n_reuse,
            shares=options.prefix_cache,
            cutter=WholeCutter() if needs_boundary else FakeCutter(),
            can_restore=exactness != "recomputed",
        )
        self._has_cache = has_cache
        spec = ModelSpec(name="fake", path=Path("fake.gguf"), backend=backend, engine_options=options)
        self.desk = TurnDesk(
            spec=spec,
            cells=self.cells,
            submit=self._submit,
            delivery=Delivery(
                ref=cast("Ref", None),
                submit=self._submit,
                board=spec.board,
                tell=lambda _statistics: None,
                bus=Bus(),
            ),
            find=self._find,
            keep=self._keep,
            reply_to=cast("Ref", None),
            exactness=exactness,
            bus=Bus(),
        )
        self._n_taken = 0

    @property
    def started(self) -> list[int]:
        """Turns in the order in which they got a sequence."""
        return [command.turn_id for command in self.commands if isinstance(command, StartTurn)]

    def take(
        self,
        tokens: Sequence[int],
        *,
        past: Sequence[int] = (),
        max_tokens: int = 2,
        keep: bool = False,
    ) -> Asker:
        """Take a greedy turn; turns are numbered from 1."""
        request = TurnRequest(
            prompt=tuple(tokens),
            sampling=SamplingParams(temperature=0.0),
            max_tokens=max_tokens,
            keep=keep,
            past=tuple(past),
        )
        return self._ask(request)

    def resume(self, snapshot: Snapshot, *, max_tokens: int) -> Asker:
        """Go on with a turn that was kept."""
        record = TurnRecord.from_bytes(snapshot.sampler)
        return self._ask(
            TurnRequest(
                prompt=plain(snapshot.tokens),
                sampling=record.sampler.params,
                max_tokens=max_tokens,
                record=record,
                past=snapshot.tokens[:-1],
            )
        )

    def answer(self, index: int = 0, *, n_cells: int | None = None) -> None:
        """Answer the oldest question, or another, with so many cells; ``None`` is nothing."""
        question = self.questions.pop(index)
        restore = None
        if n_cells is not None:
            kv = state_of(plain(question.tokens[:n_cells]))
            restore = RestoredState(kv=kv, n_cells=n_cells, source="ram")
        self.desk.found(PrefixFound(turn_id=question.turn_id, restore=restore))

    def step(self, n: int = 1) -> None:
        """Take so many steps, and tell the desk of them."""
        for _ in range(n):
            self.loop.step()
            self.deliver()

    def deliver(self) -> None:
        """Give the desk the reports that wait."""
        while self.reports:
            self.desk.report(self.reports.pop(0))

    def run(self) -> None:
        """Go on until nothing can; questions are answered with nothing."""
        for _ in range(10_000):
            self.deliver()
            if self.loop.is_runnable:
                self.loop.step()
            elif self.questions:
                self.answer()
            elif not self.reports:
                return
        raise AssertionError("it does not come to an end")

    def check(self, *askers: Asker) -> None:
        """Insist on the oracle's tokens."""
        for asker in askers:
            want = expected_turn(
                self.backend.language,
                asker.request.prompt,
                asker.request.sampling,
                max_tokens=asker.request.max_tokens,
                ctx_per_seq=self.context.facts.ctx_per_seq,
            )
            assert (asker.got.tokens, asker.got.text) == (want.tokens, want.text)

    def n_computed(self, prefix: Sequence[int]) -> int:
        """Count the rows that were computed of these tokens at these positions, all sequences together."""
        return sum(
            position < len(prefix) and prefix[position] == token
            for batch in self.backend.batches
            for token, position in zip(batch.tokens, batch.positions, strict=True)
        )

    def _ask(self, request: TurnRequest) -> Asker:
        self._n_taken += 1
        asker = Asker(request)
        self.desk.take(TakeTurn(turn_id=TurnId(self._n_taken), request=request), cast("Caller", asker))
        return asker

    def _submit(self, command: Command) -> None:
        self.commands.append(command)
        self.loop.apply(command)

    def _find(self, question: FindPrefix) -> bool:
        if self._has_cache:
            self.questions.append(question)
        return self._has_cache

    def _keep(self, message: KeepCells) -> bool:
        self.kept.append(message)
        return True


@contextmanager
def open_desk(
    *,
    n_seq: int = 2,
    ctx_per_seq: int = 128,
    has_cache: bool = True,
    needs_boundary: bool = False,
    exactness: Exactness = "exact",
    n_reuse: int = N_REUSE,
    queue_capacity: int = 256,
) -> Generator[DeskRig]:
    """Open a desk; at the end everything is freed, and the accounts are checked."""
    backend = FakeBackend(FakeLanguage(end_one_in=0))
    options = EngineOptions(n_reuse=n_reuse, queue_capacity=queue_capacity)
    rig = DeskRig(
        backend,
        n_seq=n_seq,
        ctx_per_seq=ctx_per_seq,
        has_cache=has_cache,
        needs_boundary=needs_boundary,
        exactness=exactness,
        options=options,
    )
    try:
        yield rig
    finally:
        rig.loop.close()
        rig.context.close()
        rig.model.close()
    backend.ledger.check()
