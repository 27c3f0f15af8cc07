"""Loading a model, as a job that can be stopped and cleaned up at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_futures
from functools import partial
from time import monotonic
from typing import TypeVar

from attrs import evolve, frozen

from actorllama.engine.cells import SequenceCells
from actorllama.engine.fit_check import fit_of
from actorllama.engine.host import EngineHost, Seat
from actorllama.engine.memory_messages import MemoryView
from actorllama.engine.messages import Open
from actorllama.engine.namespace import namespace_of, variant
from actorllama.engine.rehearsal import rehearse, rehearse_chat
from actorllama.engine.spec import ModelSpec
from actorllama.engine.verdict import Verdict, find_verdict
from actorllama.errors import DecodeError, ModelLoadError, StateError
from actorllama.ids import SeqId
from actorllama.kvcache import codec_named
from actorllama.native import InferenceContext, NativeModel
from actorllama.native.memory_devices import BufferSize

__all__ = ["LoadJob"]

R = TypeVar("R")

_DETACH_TIMEOUT_S = 30.0
_POLL_S = 0.05


@frozen(kw_only=True)
class _Attached:
    host: EngineHost
    seat: Seat


class LoadJob:
    """All that is native about one loaded model, from the first byte read to the last byte freed.

    Owner: the model actor's reaper entry: it outlives the actor for as long as a thread is in C.
    ``load`` and ``close`` run in worker threads, one after the other; ``stop`` may come at any time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Prepare to load what the spec names."""
        self._spec = spec
        self._is_stopped = threading.Event()
        self._progress_error: Exception | None = None
        self._model: NativeModel | None = None
        self._context: InferenceContext | None = None
        self._opened: Open | None = None
        self._attached: _Attached | None = None
        self._verdicts: dict[int, Verdict] = {}

    @property
    def opened(self) -> Open | None:
        """Weights and context, once they are there."""
        return self._opened

    @property
    def weights(self) -> tuple[BufferSize, ...]:
        """What the weights take, and where."""
        model = self._model
        return () if model is None else model.facts.buffers

    def misfit(self, view: MemoryView) -> ModelLoadError | None:
        """Say why the model will not fit into what is free, if it will not and that is known; blocks."""
        fit = fit_of(self._spec, view)
        return None if fit is None else fit.error(str(self._spec.path))

    def load(self, host: EngineHost) -> Open:
        """Read the weights, allocate the context, and find out what it holds; blocks.

        Args:
            host: Computes what the canary wants to know, between the steps of other models.

        Raises:
            ModelLoadError: The file or the options cannot be used, or ``stop`` was called.
        """
        spec = self._spec
        try:
            model = spec.backend.load(spec.path, spec.model_options, self._on_progress)
        except ModelLoadError as exc:
            if self._progress_error is None:
                raise
            reason = f"on_progress raised {self._progress_error!r}"
            raise ModelLoadError(path=exc.path, reason=reason, hint="Mend it.") from self._progress_error
        try:
            context = model.open_context(spec.context_options)
        except BaseException:
            model.close()
            raise
        self._model, self._context = model, context
        return self._try(host, model, context)

    def capture(self, seq_id: SeqId) -> memoryview:
        """Copy the cells of a sequence that no turn has, between the steps of the host; blocks.

        Raises:
            ModelLoadError: ``stop`` was called.
        """
        assert self._attached is not None
        assert self._context is not None
        return self._run_on(self._attached.host, partial(SequenceCells(self._context).capture, seq_id))

    @property
    def scratch_bytes(self) -> int:
        """About how much `drop_scratch` would give back."""
        attached = self._attached
        return 0 if attached is None else attached.seat.loop.cells.scratch_bytes

    def drop_scratch(self, n_bytes: int) -> int:
        """Give up pages that are kept for the next copy, between the steps of the host; blocks.

        Raises:
            ModelLoadError: ``stop`` was called.
        """
        attached = self._attached
        if attached is None:
            return 0
        return self._run_on(attached.host, partial(attached.seat.loop.cells.drop_scratch, n_bytes))

    def park(self) -> tuple[BufferSize, ...]:
        """Free the context of a model that no turn uses, but not its weights; return what it took; blocks."""
        self._take_away()
        context, self._context, self._opened = self._context, None, None
        assert context is not None
        context.close()
        return context.facts.buffers

    def reopen(self, host: EngineHost, *, n_seq: int) -> Open:
        """Open the context again after ``park``, with fewer sequences if there is no memory; blocks.

        Raises:
            ModelLoadError: Not even one sequence can be had, or ``stop`` was called.
        """
        assert self._model is not None
        while self._context is None:
            try:
                options = evolve(self._spec.context_options, n_seq=n_seq)
                self._context = self._model.open_context(options)
            except ModelLoadError:
                if n_seq == 1 or self._is_stopped.is_set():
                    raise
                n_seq //= 2
        return self._try(host, self._model, self._context)

    def attach(self, host: EngineHost, seat: Seat) -> None:
        """Remember that a host steps this model, so that ``close`` takes it away there first."""
        self._attached = _Attached(host=host, seat=seat)

    def stop(self) -> None:
        """Make loading, or a running step, end soon. The model can only be closed after this."""
        self._is_stopped.set()
        context = self._context
        if context is not None:
            context.abort()

    def close(self) -> None:
        """Take the loop off its host, then free context and weights; blocks for a step at most."""
        self.stop()
        self._take_away()
        model, context = self._model, self._context
        self._model = self._context = self._opened = None
        if context is not None:
            context.close()
        if model is not None:
            model.close()

    def _try(self, host: EngineHost, model: NativeModel, context: InferenceContext) -> Open:
        """Find out what the context holds."""
        spec = self._spec
        namespace = namespace_of(model.facts, context.facts, spec.context_options, spec.backend.build_info())
        codec = spec.cache_options.disk_codec
        if codec_named(codec).is_lossy:
            namespace = variant(namespace, codec)
        n_seq = context.facts.n_seq
        if n_seq not in self._verdicts:  # a context of a known size holds what the last one did
            self._verdicts[n_seq] = find_verdict(
                context=context,
                namespace=namespace,
                on_host=partial(self._run_on, host),
                is_asked=spec.engine_options.canary == "load",
                budget_s=spec.engine_options.canary_budget_s,
                directory=spec.verdict_dir,
            )
        verdict = self._verdicts[n_seq]
        if verdict.source == "remembered":
            self._run_on(host, partial(rehearse, context))
            rehearse_chat(model.facts)
        if verdict.pads_lone_rows:  # rows that are never alone are others than those that always are
            namespace = variant(namespace, "never alone")
        self._opened = Open(model=model, context=context, namespace=namespace, verdict=verdict)
        return self._opened

    def _take_away(self) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            _detach(attached)

    def _run_on(self, host: EngineHost, work: Callable[[], R]) -> R:
        """Run a piece of the canary on the host's thread; a canary that is stopped says nothing."""
        try:
            result = self._wait(host, host.run(work))
        except (StateError, DecodeError) as exc:
            if self._is_stopped.is_set() or not host.is_running:
                raise self._stopped() from exc
            raise
        if self._is_stopped.is_set():
            raise self._stopped()
        return result

    def _wait(self, host: EngineHost, future: Future[R]) -> R:
        """Wait for the host, but not for one that has ended; the context stays its own until then."""
        while not wait_futures((future,), _POLL_S).done:
            if not host.is_running:
                raise self._stopped()
        return future.result()

    def _stopped(self) -> ModelLoadError:
        return ModelLoadError(path=str(self._spec.path), reason="loading was stopped")

    def _on_progress(self, fraction: float) -> bool:
        report: Callable[[float], None] | None = self._spec.on_progress
        if report is not None and self._progress_error is None:
            try:
                report(fraction)
            except Exception as exc:  # noqa: BLE001 - it must not run through C; load() raises it
                self._progress_error = exc
                self._is_stopped.set()
        return not self._is_stopped.is_set()


def _detach(attached: _Attached) -> None:
    is_detached = threading.Event()
    try:
        attached.host.detach(attached.seat, is_detached.set)
    except StateError:
        return  # the host is closed: its thread has ended, nobody steps any more
    # The step under way was told to abort; should it take longer than this all the same, closing is
    # safe nevertheless: the context's lease frees it when that step has returned.
    give_up_at_s = monotonic() + _DETACH_TIMEOUT_S
    while attached.host.is_running and monotonic() < give_up_at_s:
        if is_detached.wait(_POLL_S):
            return
