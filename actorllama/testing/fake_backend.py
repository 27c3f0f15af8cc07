"""A backend without a library: deterministic, quick, and strict about its users.

A scenario makes a backend, plans what goes wrong, runs, and checks the accounts::

    backend = FakeBackend()
    gate = backend.faults.hold_decode(nth=3)           # the third step stands still ...
    backend.faults.fail_decode(2, nth=4)               # ... and the one after it fails

    async with open_runtime(backend=backend) as rt:
        model = await rt.load("fake", "any/path.gguf", n_seq=4, ctx_per_seq=64)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(model.complete, "hello", max_tokens=8, temperature=0.0))
            await gate.wait_entered()                  # a turn is inside its third step
            ...
            gate.release()
    backend.ledger.check()                             # models, contexts, samplers: each freed once

What a turn must bring is known beforehand: ``expected_turn`` in ``fake_oracle.py`` computes it from the
prompt alone, one token at a time. Under `actorllama.testing.explore`, which has no threads, give
``open_runtime`` the `InlineHost` and ``run_inline``; gates and held loads need threads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native import BuildInfo, ContextOptions, ModelFacts, ModelOptions, StepBatch
from actorllama.native.lease import Lease
from actorllama.native.memory_devices import BufferSize, ComputeDevice
from actorllama.testing.fake_context import FakeContext
from actorllama.testing.fake_faults import FakeFaults
from actorllama.testing.fake_language import END, END_OF_TURN, N_VOCAB, FakeLanguage
from actorllama.testing.fake_ledger import FakeLedger

__all__ = ["WEIGHTS_BYTES", "FakeBackend", "FakeModel", "FakeVocabulary"]

WEIGHTS_BYTES = 1 << 20  # what a fake model says that it weighs


class FakeVocabulary:
    """The language's tokens, for as long as the model lives."""

    def __init__(self, language: FakeLanguage, lease: Lease) -> None:
        """Read from ``language`` while ``lease`` holds."""
        self._language = language
        self._lease = lease

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return N_VOCAB

    @property
    def is_closed(self) -> bool:
        """Whether the model has been freed, or is about to be."""
        return self._lease.is_closed

    @property
    def end_tokens(self) -> frozenset[int]:
        """The two tokens that end a generation."""
        return frozenset((END, END_OF_TURN))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Cut text into bytes and control tokens.

        Raises:
            RequestError: The text is not valid Unicode.
            StateError: The model has been freed.
        """
        with self._lease.use():
            return self._language.tokenize(text, add_special=add_special, parse_special=parse_special)

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token adds to the text."""
        with self._lease.use():
            return self._language.piece(token)

    def is_end(self, token: int) -> bool:
        """Say whether the token ends a generation."""
        return token in (END, END_OF_TURN)


class FakeModel:
    """Weights that weigh nothing.

    Owner: whoever loaded it; freed when closed and no context is left.
    """

    def __init__(
        self,
        language: FakeLanguage,
        path: Path,
        *,
        faults: FakeFaults,
        ledger: FakeLedger,
        batches: list[StepBatch],
        context_reason: str | None,
        label: str = "CPU",
    ) -> None:
        """Made by ``FakeBackend.load``; with a ``context_reason`` it can open no context."""
        self._language = language
        self._faults = faults
        self._ledger = ledger
        self._batches = batches
        self._context_reason = context_reason
        self._label = label
        weights = BufferSize(label=label, what="model", n_bytes=WEIGHTS_BYTES)
        self._facts = evolve(language.facts(str(path)), buffers=(weights,))
        name = ledger.open("model")
        self._lease = Lease(what=f"fake {name}", free=lambda: ledger.free(name))
        self._vocabulary = FakeVocabulary(language, self._lease)

    @property
    def facts(self) -> ModelFacts:
        """What the file would say."""
        return self._facts

    @property
    def vocabulary(self) -> FakeVocabulary:
        """Text to token ids and back."""
        return self._vocabulary

    def open_context(self, options: ContextOptions) -> FakeContext:
        """Make a context.

        Raises:
            ModelLoadError: It was planned so.
        """
        reason = self._context_reason or self._faults.next_open()
        if reason is not None:
            raise ModelLoadError(path=self._facts.path, reason=reason)
        self._lease.enter()
        return FakeContext(
            self._language,
            options,
            faults=self._faults,
            ledger=self._ledger,
            batches=self._batches,
            on_freed=self._lease.leave,
            label=self._label,
        )

    def close(self) -> None:
        """Free the weights once no context uses them; safe to call again."""
        self._lease.close()


class FakeBackend:
    """Load any path as the same tiny language model; see the head of this module.

    Attributes:
        faults: What goes wrong, and when.
        ledger: What was opened and freed.
        batches: Every batch that was computed, in order, all contexts together.
        gpus: Devices that it says it has; all of a model lies on the first, on the host without one.
    """

    def __init__(self, language: FakeLanguage | None = None) -> None:
        """Speak ``language``; by default one that ends a reply now and then."""
        self.language = language or FakeLanguage()
        self.faults = FakeFaults()
        self.ledger = FakeLedger()
        self.batches: list[StepBatch] = []
        self.gpus: tuple[ComputeDevice, ...] = ()

    def build_info(self) -> BuildInfo:
        """Describe the fake."""
        return BuildInfo(
            library="fake",
            version="1",
            has_openmp=False,
            devices=("none",),
            system_info="no library at all",
            max_seq=256,
        )

    def devices(self) -> tuple[ComputeDevice, ...]:
        """List what a test put into ``gpus``."""
        return self.gpus

    def load(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool]) -> FakeModel:
        """Make a model; the file need not exist.

        Raises:
            ModelLoadError: It was planned so, or ``on_progress`` returned False.
        """
        reason, context_reason, gate = self.faults.next_load()
        goes_on = on_progress(0.0)
        if gate is not None:
            goes_on = gate.hold(lambda: not on_progress(0.5))
        if not (goes_on and on_progress(1.0)):
            reason = "loading was stopped"
        if reason is not None:
            raise ModelLoadError(path=str(path), reason=reason)
        return FakeModel(
            self.language,
            path,
            faults=self.faults,
            ledger=self.ledger,
            batches=self.batches,
            context_reason=context_reason,
            label=self.gpus[0].name if self.gpus else "CPU",
        )
