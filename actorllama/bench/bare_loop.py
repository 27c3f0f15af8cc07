"""The bare ``llama_decode`` loop that decoding is compared with."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from actorllama.bench.decode_report import N_PROMPT, DecodeBenchOptions
from actorllama.bench.decode_turns import prompt_of
from actorllama.engine import StepProbe, no_probe
from actorllama.native import Backend, ContextOptions, InferenceContext, ModelOptions, StepBatch
from actorllama.runtime import Runtime

__all__ = ["BareLoop"]


class BareLoop:
    """A second context on the same file, for the loop that does nothing but decode.

    Owner: the thread that computes (`EngineHost.run`).
    """

    def __init__(
        self, context: InferenceContext, options: DecodeBenchOptions, close: Callable[[], None]
    ) -> None:
        """Run on this context; ``open`` makes one."""
        self._context = context
        self._options = options
        self.close = close

    @classmethod
    def open(cls, rt: Runtime, options: DecodeBenchOptions) -> BareLoop:
        """Load the model once more, beside the runtime's.

        Raises:
            ModelLoadError: It cannot be loaded.
        """
        backend: Backend = rt.backend
        model = backend.load(options.model, ModelOptions(), lambda _fraction: True)
        context = model.open_context(
            ContextOptions(
                n_seq=options.n_seq,
                ctx_per_seq=options.ctx_per_seq,
                n_threads=options.n_threads,
                keeps_threads=options.keeps_threads_bare,
            )
        )

        def close() -> None:
            context.close()
            model.close()

        return cls(context, options, close)

    def rate(self, probe: StepProbe = no_probe) -> float:
        """Run the loop on the calling thread; tokens per second. ``probe`` is told where each step is."""
        self.begin()
        began = perf_counter()
        for number in range(self._options.n_tokens):
            self.step(number, probe)
        return self._options.n_seq * self._options.n_tokens / (perf_counter() - began)

    def begin(self) -> None:
        """Compute the prompts; steps 0, 1, ... go on from them."""
        context = self._context
        for seq_id in range(self._options.n_seq):
            context.clear_sequence(seq_id)
            context.decode(
                StepBatch(
                    tokens=prompt_of(seq_id),
                    positions=range(N_PROMPT),
                    seq_ids=[seq_id] * N_PROMPT,
                    outputs=[N_PROMPT - 1],
                )
            )

    def step(self, number: int, probe: StepProbe = no_probe) -> None:
        """Compute one row of each sequence."""
        probe("plan")
        n = self._options.n_seq
        batch = StepBatch(
            tokens=[3 + number % 128] * n,
            positions=[N_PROMPT + number] * n,
            seq_ids=range(n),
            outputs=range(n),
        )
        probe("decode")
        self._context.decode(batch)
        probe("between")
