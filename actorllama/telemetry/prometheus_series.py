"""The time series that the Prometheus handler keeps; names and units after Prometheus' conventions."""

from __future__ import annotations

from actorllama.telemetry.prometheus_families import Families
from actorllama.telemetry.prometheus_pressure import PressureSeries

__all__ = ["CONTEXT_BUCKETS", "PrometheusSeries", "context_bucket"]

CONTEXT_BUCKETS = (
    (512, "0-511"),
    (2048, "512-2047"),
    (8192, "2048-8191"),
    (32768, "8192-32767"),
    (131072, "32768-131071"),
)
"""Upper ends (exclusive) and labels of context sizes, in tokens; what is beyond is ``131072+``."""

_WAIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_COPY_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LOAD_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_SPEED = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0)


def context_bucket(n_tokens: float) -> str:
    """Give the label of a context size in tokens."""
    for end, label in CONTEXT_BUCKETS:
        if n_tokens < end:
            return label
    return "131072+"


class PrometheusSeries:
    """Every series, declared in one place.

    Owner: the handler that made it.
    """

    def __init__(self, families: Families) -> None:
        """Declare all."""
        counter, gauge, histogram = families.counter, families.gauge, families.histogram

        # Turns.
        self.turns = counter("turns_total", "Turns that ended, well or not.", "model", "finish_reason")
        self.refused = counter("turns_refused_total", "Turns that were not taken.", "model", "reason")
        self.running = gauge("turns_running", "Turns that have a sequence.", "model")
        self.queued = gauge("turns_queued", "Turns that wait for a sequence.", "model")
        self.turn_s = histogram(
            "turn_seconds", "A whole turn, its time in the queue included.", _WAIT_S, "model"
        )
        self.queue_s = histogram(
            "turn_queue_seconds", "From being taken to having a sequence.", _WAIT_S, "model"
        )
        self.restore_s = histogram(
            "turn_restore_seconds", "Putting a saved state into the sequence.", _COPY_S, "model"
        )
        self.save_s = histogram(
            "turn_save_seconds", "Copying a turn's state out at its end.", _COPY_S, "model"
        )
        self.first_token_s = histogram(
            "turn_first_token_seconds", "From being taken to the first token.", _WAIT_S, "model"
        )
        self.inter_token_s = histogram(
            "turn_inter_token_seconds", "Between two tokens of a turn, on average over it.", _TOKEN_S, "model"
        )
        self.speed = histogram(
            "turn_decode_tokens_per_second",
            "Tokens of one turn per second of its decoding, by context size at its end.",
            _SPEED,
            "model",
            "context_tokens",
        )
        self.prompt_tokens = counter(
            "prompt_tokens_total", "Tokens of prompts: computed, or cached.", "model", "source"
        )
        self.generated_tokens = counter("generated_tokens_total", "Tokens of replies.", "model")

        # Steps of the engine.
        self.steps = counter("engine_steps_total", "Native calls that computed a batch.", "model")
        self.step_tokens = counter(
            "engine_tokens_total", "Tokens computed: prefill or decode.", "model", "phase"
        )
        self.step_s = counter(
            "engine_seconds_total",
            "Time of the engine: in llama_decode, or choosing tokens.",
            "model",
            "phase",
        )
        self.batch = histogram(
            "engine_batch_tokens", "Tokens per step, on average between two reports.", _BATCH, "model"
        )

        # The cache.
        self.hits = counter(
            "cache_hits_total", "Turns that began with computed cells, by where they were.", "model", "tier"
        )
        self.misses = counter("cache_misses_total", "Turns whose whole prompt was computed.", "model")
        self.writes = counter("cache_writes_total", "Entries that became safe in a tier.", "tier")
        self.written_bytes = counter("cache_written_bytes_total", "Bytes of those entries.", "tier")
        self.write_s = histogram("cache_write_seconds", "Making an entry safe in a tier.", _COPY_S, "tier")
        self.evictions = counter("cache_evictions_total", "Entries that made room for others.", "tier")
        self.evicted_bytes = counter("cache_evicted_bytes_total", "Bytes of those entries.", "tier")
        self.declined = counter(
            "cache_entries_declined_total", "Entries a tier did not take for the sake of others.", "tier"
        )
        self.entries_refused = counter("cache_entries_refused_total", "Entries that were not usable.", "tier")
        self.quarantined = counter(
            "cache_entries_quarantined_total", "Damaged files that were set aside."
        ).labels()
        self.write_failures = counter("cache_write_failures_total", "Entries a tier could not take.", "tier")
        self.writes_dropped = counter(
            "cache_writes_dropped_total", "Writes to the disk that were given up."
        ).labels()
        self.cells_dropped = counter(
            "cache_cells_dropped_total", "Times computed cells could not be kept."
        ).labels()
        self.swept_bytes = counter(
            "cache_swept_bytes_total", "Bytes of unfinished files that were removed."
        ).labels()

        self.by_tier = (
            *(self.writes, self.written_bytes, self.evictions, self.evicted_bytes),
            *(self.declined, self.entries_refused, self.write_failures),
        )

        # Memory.
        self.pressure = PressureSeries(families)

        # Models and actors.
        self.loaded = gauge("model_loaded", "Whether the model takes turns.", "model")
        self.weights_bytes = gauge("model_weights_bytes", "Size of the loaded weights.", "model")
        self.sequences = gauge("model_sequences", "Sequences of the model's context.", "model")
        self.load_s = histogram("model_load_seconds", "Loading a model.", _LOAD_S, "model")
        self.load_failures = counter("model_load_failures_total", "Models that could not be loaded.", "model")
        self.failures = counter("model_failures_total", "Contexts that came into doubt.", "model")
        self.parked = gauge("model_parked", "Whether the context was put aside: memory was short.", "model")
        self.parks = counter("model_parks_total", "Contexts that were put aside.", "model")
        self.parked_bytes = counter("model_parked_bytes_total", "Bytes of those contexts.", "model")
        self.reopen_s = histogram("model_reopen_seconds", "Opening such a context again.", _LOAD_S, "model")
        self.restarts = counter("actor_restarts_total", "Restarts by supervisors.", "child")
        self.crashes = counter("actor_crashes_total", "Actors that crashed or were killed.", "kind")
        self.gave_up = counter(
            "supervisors_gave_up_total", "Supervisors that reached their restart intensity."
        ).labels()
        self.dead_letters = counter("messages_dropped_total", "Messages that reached nobody.", "cause")
        self.handler_failures = counter(
            "telemetry_handler_failures_total", "Handlers that were detached."
        ).labels()
        self.facts_dropped = counter(
            "telemetry_facts_dropped_total", "Facts that were more than handlers could deal with."
        ).labels()
