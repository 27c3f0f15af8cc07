"""An engine loop on a fake context, driven by hand: no thread, no event loop."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from actorllama.engine import EngineOptions
from actorllama.engine.commands import CancelTurn, GrantCredit, StartTurn
from actorllama.engine.loop import EngineLoop
from actorllama.engine.reports import StepReport, TurnEnd
from actorllama.ids import SeqId, TurnId
from actorllama.native import ContextOptions, ModelOptions, SamplingParams
from actorllama.runtime import SamplingOptions
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_oracle import ExpectedTurn, expected_turn

__all__ = ["LoopRig", "open_loop"]


class LoopRig:
    """One engine loop and what it reported.

    Owner: the test. Made by `open_loop`, which frees everything and checks the accounts.
    """

    def __init__(
        self,
        backend: FakeBackend,
        options: ContextOptions,
        *,
        n_mixed: int,
        n_together: int,
        pads_lone_rows: bool = False,
    ) -> None:
        """Load the fake model and open a context on it."""
        self.backend = backend
        self.model = backend.load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
        self.context = self.model.open_context(options)
        self.reports: list[StepReport] = []
        self.loop = EngineLoop(
            context=self.context,
            vocabulary=self.model.vocabulary,
            post=self.reports.append,
            n_mixed=n_mixed,
            n_together=n_together,
            pads_lone_rows=pads_lone_rows,
        )
        self._commands: dict[int, StartTurn] = {}

    @property
    def ends(self) -> dict[int, TurnEnd]:
        """What became of each turn that has ended; a turn that ended twice is an error."""
        ends = [end for report in self.reports for end in report.ended]
        assert len({end.turn_id for end in ends}) == len(ends), "a turn ended twice"
        return {end.turn_id: end for end in ends}

    def text(self, turn_id: int) -> str:
        """Join the pieces that a reader of this turn would have got."""
        return "".join(p.text for report in self.reports for p in report.pieces if p.turn_id == turn_id)

    def n_told(self, turn_id: int) -> int:
        """Count the tokens that came with them."""
        return sum(p.n_tokens for report in self.reports for p in report.pieces if p.turn_id == turn_id)

    def tokens(self, prompt: str | Sequence[int]) -> tuple[int, ...]:
        """Cut a prompt as a runtime would."""
        if not isinstance(prompt, str):
            return tuple(prompt)
        return tuple(self.model.vocabulary.tokenize(prompt, add_special=True, parse_special=False))

    def start(
        self,
        turn_id: int,
        prompt: str | Sequence[int],
        *,
        seq_id: int = 0,
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
        credit: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> None:
        """Start a turn; greedy unless a temperature is given."""
        settings: SamplingOptions = {"temperature": 0.0}
        settings.update(sampling)
        command = StartTurn(
            turn_id=TurnId(turn_id),
            seq_id=SeqId(seq_id),
            prompt=self.tokens(prompt),
            sampling=SamplingParams(**settings),
            max_tokens=max_tokens,
            stop=stop,
            credit=credit,
        )
        self._commands[turn_id] = command
        self.loop.apply(command)

    def grant(self, turn_id: int, n_tokens: int) -> None:
        """Let a turn produce more."""
        self.loop.apply(GrantCredit(grants=((TurnId(turn_id), n_tokens),)))

    def cancel(self, turn_id: int, reason: str = "its caller left") -> None:
        """Stop a turn."""
        self.loop.apply(CancelTurn(turn_id=TurnId(turn_id), reason=reason))

    def run(self, *, n_steps: int | None = None) -> None:
        """Step until nothing can go on, or so many times."""
        n_done = 0
        while self.loop.is_runnable and n_done != n_steps:
            self.loop.step()
            n_done += 1
            assert n_done < 10_000, "the loop says that it is runnable and does not get on"

    def expected(self, turn_id: int) -> ExpectedTurn:
        """Compute what the turn brings if nobody disturbs it."""
        command = self._commands[turn_id]
        return expected_turn(
            self.backend.language,
            command.prompt,
            command.sampling,
            max_tokens=command.max_tokens,
            stop=command.stop,
            ctx_per_seq=self.context.facts.ctx_per_seq,
        )

    def outcome(self, turn_id: int) -> ExpectedTurn:
        """Return what the turn brought, in the oracle's words."""
        end = self.ends[turn_id]
        return ExpectedTurn(tokens=end.tokens, text=end.text, finish_reason=end.finish_reason, stop=end.stop)


@contextmanager
def open_loop(
    backend: FakeBackend | None = None,
    *,
    n_seq: int = 4,
    ctx_per_seq: int = 64,
    n_batch: int = 32,
    n_ubatch: int = 512,
    n_mixed: int | None = None,
    n_together: int = 32,
    layout: str = "isolated",
    pads_lone_rows: bool = False,
) -> Generator[LoopRig]:
    """Open a loop; at the end of the block everything is freed, and the accounts are checked."""
    backend = backend or FakeBackend()
    options = ContextOptions(
        n_seq=n_seq, ctx_per_seq=ctx_per_seq, n_batch=n_batch, n_ubatch=n_ubatch, layout=layout
    )
    n_mixed = n_mixed or EngineOptions().n_mixed
    rig = LoopRig(backend, options, n_mixed=n_mixed, n_together=n_together, pads_lone_rows=pads_lone_rows)
    try:
        yield rig
    finally:
        rig.loop.close()
        rig.context.close()
        rig.model.close()
    backend.ledger.check()
