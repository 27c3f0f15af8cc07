"""The time series of one model: the labels are resolved once, so that an event costs a few additions."""

from __future__ import annotations

from actorllama.telemetry.event import Measurements, Metadata
from actorllama.telemetry.prometheus_series import PrometheusSeries, context_bucket

__all__ = ["ModelSeries"]

_FINISH_REASONS = ("end", "stop", "length", "context", "cancelled", "error")
_REFUSALS = ("busy", "unloading")
_UNTOLD = "unknown"
_ZERO: Measurements = dict.fromkeys(("n_steps", "n_prefilled", "n_decoded", "decode_s", "sample_s"), 0.0)
_SOURCES = ("live", "turn", "ram", "disk", _UNTOLD)


class ModelSeries:
    """What the events of one model change.

    Owner: the readers that made it, in the late handlers' thread. The engine's totals before the last report
    are this object's own, and only a model's actor reports steps.
    """

    def __init__(self, series: PrometheusSeries, model: str) -> None:
        """Make the model's series, at zero where they count."""
        self._series = series
        self._model = model
        self._turns = {reason: series.turns.labels(model, reason) for reason in _FINISH_REASONS}
        self._refused = {reason: series.refused.labels(model, reason) for reason in _REFUSALS}
        self._running = series.running.labels(model)
        self._queued = series.queued.labels(model)
        self._turn_s = series.turn_s.labels(model)
        self._queue_s = series.queue_s.labels(model)
        self._restore_s = series.restore_s.labels(model)
        self._save_s = series.save_s.labels(model)
        self._first_token_s = series.first_token_s.labels(model)
        self._inter_token_s = series.inter_token_s.labels(model)
        self._computed = series.prompt_tokens.labels(model, "computed")
        self._cached = series.prompt_tokens.labels(model, "cached")
        self._generated = series.generated_tokens.labels(model)
        self._steps = series.steps.labels(model)
        self._totals = (
            ("n_prefilled", series.step_tokens.labels(model, "prefill")),
            ("n_decoded", series.step_tokens.labels(model, "decode")),
            ("decode_s", series.step_s.labels(model, "decode")),
            ("sample_s", series.step_s.labels(model, "sample")),
        )
        self._batch = series.batch.labels(model)
        self._failures = series.failures.labels(model)
        series.load_failures.labels(model)
        self._hits = {tier: series.hits.labels(model, tier) for tier in _SOURCES}
        self._misses = series.misses.labels(model)
        self._parked = series.parked.labels(model)
        self._parks = series.parks.labels(model)
        self._parked_bytes = series.parked_bytes.labels(model)
        self._reopen_s = series.reopen_s.labels(model)
        self._before = _ZERO

    # -- the model ---------------------------------------------------------------------------------

    def loaded(self, numbers: Measurements) -> None:
        """Take note that it takes turns."""
        series, model = self._series, self._model
        self._before = _ZERO
        series.loaded.labels(model).set(1)
        series.weights_bytes.labels(model).set(numbers["weights_bytes"])
        series.sequences.labels(model).set(numbers["n_seq"])
        series.load_s.labels(model).observe(numbers["duration_s"])

    def gone(self) -> None:
        """Take note that it takes no turns any more, and has none."""
        series, model = self._series, self._model
        self._before = _ZERO
        for gauge in (series.loaded, series.weights_bytes, series.sequences, series.parked):
            gauge.labels(model).set(0)
        self._running.set(0)
        self._queued.set(0)

    def failed(self) -> None:
        """Count a context that came into doubt."""
        self._failures.inc()
        self.gone()

    def parked(self, numbers: Measurements) -> None:
        """Take note that its context was put aside."""
        self._parked.set(1)
        self._parks.inc()
        self._parked_bytes.inc(numbers["freed_bytes"])

    def reopened(self, numbers: Measurements) -> None:
        """Take note that it has a context again, maybe a smaller one."""
        self._parked.set(0)
        self._series.sequences.labels(self._model).set(numbers["n_seq"])
        self._reopen_s.observe(numbers["duration_s"])

    # -- steps -------------------------------------------------------------------------------------

    def stepped(self, numbers: Measurements) -> None:
        """Add what the engine's totals have grown by; a new engine counts from zero."""
        n_steps = numbers["n_steps"]
        before = self._before if n_steps >= self._before["n_steps"] else _ZERO
        self._before = numbers
        self._running.set(numbers["n_live"])
        self._queued.set(numbers["n_queued"])
        n_new_steps = n_steps - before["n_steps"]
        if n_new_steps == 0:
            return
        self._steps.inc(n_new_steps)
        for key, counter in self._totals:
            grown = numbers[key] - before[key]
            if grown > 0:
                counter.inc(grown)
        n_tokens = numbers["n_prefilled"] + numbers["n_decoded"]
        n_before = before["n_prefilled"] + before["n_decoded"]
        self._batch.observe((n_tokens - n_before) / n_new_steps)

    # -- turns -------------------------------------------------------------------------------------

    def turn_queued(self, numbers: Measurements) -> None:
        """Take note of how many wait."""
        self._queued.set(numbers["n_queued"])

    def turn_refused(self, about: Metadata) -> None:
        """Count a turn that was not taken."""
        self._refused["busy" if about["reason"] == "busy" else "unloading"].inc()

    def turn_over(self, numbers: Measurements, about: Metadata) -> None:
        """Count a turn that ended, well or not, and its tokens."""
        self._turns[str(about["finish_reason"])].inc()
        self._cached.inc(numbers["n_cached"])
        self._computed.inc(max(0, numbers["n_prompt"] - numbers["n_cached"]))
        self._generated.inc(numbers["n_generated"])

    def turn_ended(self, numbers: Measurements, about: Metadata) -> None:
        """Observe a turn that has its result."""
        self.turn_over(numbers, about)
        queue_s, restore_s, save_s = numbers["queue_s"], numbers["restore_s"], numbers["save_s"]
        prefill_s, decode_s = numbers["prefill_s"], numbers["decode_s"]
        first_token_s = queue_s + restore_s + prefill_s
        self._queue_s.observe(queue_s)
        self._first_token_s.observe(first_token_s)
        self._turn_s.observe(first_token_s + decode_s + save_s)
        if restore_s > 0:
            self._restore_s.observe(restore_s)
        if save_s > 0:
            self._save_s.observe(save_s)
        n_between = numbers["n_generated"] - 1  # the first token is the prefill's
        if n_between > 0 and decode_s > 0:
            self._inter_token_s.observe(decode_s / n_between)
            size = context_bucket(numbers["n_prompt"] + numbers["n_generated"])
            self._series.speed.labels(self._model, size).observe(n_between / decode_s)
        if numbers["n_cached"] > 0:
            self._hits.get(str(about["cache_tier"]), self._hits[_UNTOLD]).inc()
        else:
            self._misses.inc()
