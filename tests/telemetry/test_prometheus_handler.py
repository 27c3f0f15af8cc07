import sys
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actorllama import actors, engine, kvcache, telemetry
from actorllama.engine.pressure_plan import Step
from actorllama.errors import ConfigError
from actorllama.telemetry import (
    Bus,
    Event,
    Measurements,
    Metadata,
    StrictBus,
    attach_prometheus,
)
from actorllama.telemetry.prometheus_families import Families
from actorllama.telemetry.prometheus_pressure import HOST_STEPS
from actorllama.telemetry.prometheus_readers import PrometheusReaders
from actorllama.telemetry.prometheus_series import PrometheusSeries, context_bucket

DECLARED = {
    event.name: event for event in (*telemetry.EVENTS, *actors.EVENTS, *engine.EVENTS, *kvcache.EVENTS)
}


def declared(name: str) -> Event:
    return DECLARED[tuple(name.split("."))]


def samples_of(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text back with Prometheus' own parser."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return samples_of(registry)[(f"actorllama_{name}", frozenset(labels.items()))]


def tell(bus: Bus, name: str, numbers: Measurements, about: Metadata) -> None:
    """Tell a declared event with all of its keys; those that are not given are 0 and ``x``."""
    event = declared(name)
    bus.execute(
        event,
        {**dict.fromkeys(event.measurements, 0), **numbers},
        {**dict.fromkeys(event.metadata, "x"), **about},
    )


TURN: Mapping[str, float] = {
    "queue_s": 0.25,
    "restore_s": 0.5,
    "prefill_s": 0.25,
    "decode_s": 2.0,
    "save_s": 0.5,
    "n_prompt": 1000,
    "n_cached": 600,
    "n_generated": 101,
    "n_steps": 104,
}


def test_a_turn_is_observed_in_seconds_and_tokens_per_second_by_context_size() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tell(bus, "engine.turn.ended", TURN, {"model": "chat", "finish_reason": "stop", "cache_tier": "disk"})

    expected = {
        "turn_queue_seconds": 0.25,
        "turn_restore_seconds": 0.5,
        "turn_first_token_seconds": 1.0,
        "turn_inter_token_seconds": 0.02,
        "turn_save_seconds": 0.5,
        "turn_seconds": 3.5,
    }
    for name, seconds in expected.items():
        assert value(registry, f"{name}_sum", model="chat") == pytest.approx(seconds)
        assert value(registry, f"{name}_count", model="chat") == 1
    speed = {"model": "chat", "context_tokens": "512-2047"}
    assert value(registry, "turn_decode_tokens_per_second_sum", **speed) == pytest.approx(50.0)
    assert value(registry, "turn_decode_tokens_per_second_bucket", **speed, le="50.0") == 1
    assert value(registry, "turn_decode_tokens_per_second_bucket", **speed, le="25.0") == 0
    assert value(registry, "turns_total", model="chat", finish_reason="stop") == 1
    assert value(registry, "prompt_tokens_total", model="chat", source="cached") == 600
    assert value(registry, "prompt_tokens_total", model="chat", source="computed") == 400
    assert value(registry, "generated_tokens_total", model="chat") == 101


def test_hits_are_counted_by_tier_and_turns_without_one_as_misses() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tiers = (("ram", 1), ("disk", 1), ("disk", 1), ("live", 1), ("turn", 1), (None, 1), (None, 0))
    for tier, n_cached in tiers:
        about = {"model": "chat", "finish_reason": "end", "cache_tier": tier}
        tell(bus, "engine.turn.ended", {**TURN, "n_cached": n_cached}, about)

    expected = {"ram": 1, "disk": 2, "live": 1, "turn": 1, "unknown": 1}
    found = {tier: value(registry, "cache_hits_total", model="chat", tier=tier) for tier in expected}
    assert found == expected
    assert value(registry, "cache_misses_total", model="chat") == 1


def test_a_turn_of_one_token_has_no_time_between_tokens() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    about = {"model": "chat", "finish_reason": "length", "cache_tier": None}
    tell(bus, "engine.turn.ended", {**TURN, "n_generated": 1, "save_s": 0, "restore_s": 0}, about)

    for name in ("inter_token", "save", "restore"):
        assert value(registry, f"turn_{name}_seconds_count", model="chat") == 0


def test_a_turn_that_failed_or_was_refused_is_counted_by_why() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tell(bus, "engine.turn.failed", {"n_generated": 3}, {"model": "chat", "finish_reason": "cancelled"})
    tell(bus, "engine.turn.refused", {}, {"model": "chat", "reason": "busy"})
    tell(bus, "engine.turn.refused", {}, {"model": "chat", "reason": "the model is being unloaded"})

    assert value(registry, "turns_total", model="chat", finish_reason="cancelled") == 1
    assert value(registry, "generated_tokens_total", model="chat") == 3
    assert value(registry, "turns_refused_total", model="chat", reason="busy") == 1
    assert value(registry, "turns_refused_total", model="chat", reason="unloading") == 1
    assert value(registry, "turn_seconds_count", model="chat") == 0


def step(bus: Bus, n_steps: int, n_prefilled: int, n_decoded: int, n_queued: int = 0) -> None:
    numbers = {
        "n_steps": n_steps,
        "n_prefilled": n_prefilled,
        "n_decoded": n_decoded,
        "n_live": 2,
        "n_queued": n_queued,
        "decode_s": n_steps / 2,
        "sample_s": n_steps / 4,
    }
    tell(bus, "engine.step.reported", numbers, {"model": "chat"})


def test_totals_of_the_engine_become_counters_also_when_a_rebuilt_engine_counts_anew() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    step(bus, 2, 30, 0)
    step(bus, 6, 30, 8, n_queued=5)
    step(bus, 6, 30, 8, n_queued=5)
    assert value(registry, "turns_queued", model="chat") == 5
    assert value(registry, "turns_running", model="chat") == 2
    step(bus, 1, 4, 0)  # after a crash

    assert value(registry, "engine_steps_total", model="chat") == 7
    assert value(registry, "engine_tokens_total", model="chat", phase="prefill") == 34
    assert value(registry, "engine_tokens_total", model="chat", phase="decode") == 8
    assert value(registry, "engine_seconds_total", model="chat", phase="decode") == 3.5
    assert value(registry, "engine_seconds_total", model="chat", phase="sample") == 1.75
    # 15, then 2, then 4 tokens a step; a report without a step is no batch.
    assert value(registry, "engine_batch_tokens_sum", model="chat") == 21
    assert value(registry, "engine_batch_tokens_count", model="chat") == 3


@pytest.mark.parametrize("end", ["engine.model.unloaded", "engine.model.failed"])
def test_a_model_that_is_gone_runs_and_holds_nothing(end: str) -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    loaded = {"duration_s": 0.3, "weights_bytes": 1 << 20, "n_seq": 8}
    tell(bus, "engine.model.loaded", loaded, {"model": "chat"})
    assert value(registry, "model_loaded", model="chat") == 1
    assert value(registry, "model_weights_bytes", model="chat") == 1 << 20
    assert value(registry, "model_sequences", model="chat") == 8
    step(bus, 2, 30, 0, n_queued=3)
    tell(bus, end, {}, {"model": "chat"})
    step_like = ("model_loaded", "model_weights_bytes", "model_sequences", "turns_running", "turns_queued")

    assert {value(registry, name, model="chat") for name in step_like} == {0}
    assert value(registry, "model_load_seconds_sum", model="chat") == pytest.approx(0.3)


def test_the_cache_is_counted_by_tier_in_entries_and_bytes() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tell(bus, "kvcache.entry.published", {"entry_bytes": 100, "duration_s": 0.5}, {"tier": "ram"})
    tell(bus, "kvcache.entry.evicted", {"entry_bytes": 60}, {"tier": "ram"})
    tell(bus, "kvcache.entry.declined", {"entry_bytes": 60}, {"tier": "ram"})
    tell(bus, "kvcache.put.failed", {"entry_bytes": 60}, {"tier": "disk"})
    tell(bus, "kvcache.entry.refused", {"n_entries": 2}, {"tier": "disk"})
    tell(bus, "kvcache.entry.quarantined", {"n_entries": 1}, {})
    tell(bus, "engine.cells.dropped", {}, {})
    tell(bus, "kvcache.write.dropped", {}, {})
    tell(bus, "kvcache.disk.swept", {"freed_bytes": 9}, {})

    assert value(registry, "cache_writes_total", tier="ram") == 1
    assert value(registry, "cache_writes_total", tier="disk") == 0
    assert value(registry, "cache_written_bytes_total", tier="ram") == 100
    assert value(registry, "cache_write_seconds_sum", tier="ram") == 0.5
    assert value(registry, "cache_evictions_total", tier="ram") == 1
    assert value(registry, "cache_evicted_bytes_total", tier="ram") == 60
    assert value(registry, "cache_entries_declined_total", tier="ram") == 1
    assert value(registry, "cache_write_failures_total", tier="disk") == 1
    assert value(registry, "cache_entries_refused_total", tier="disk") == 2
    assert value(registry, "cache_entries_quarantined_total") == 1
    assert value(registry, "cache_cells_dropped_total") == 1
    assert value(registry, "cache_writes_dropped_total") == 1
    assert value(registry, "cache_swept_bytes_total") == 9


def test_what_supervisors_do_is_counted() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tell(bus, "actors.child.restart", {}, {"child": "chat (actor)"})
    tell(bus, "actors.actor.crash", {}, {"kind": "ModelActor"})
    tell(bus, "actors.supervisor.gave_up", {}, {})
    tell(bus, "actors.message.dropped", {"n_messages": 2}, {"cause": "dead"})
    tell(bus, "engine.load.failed", {}, {"model": "chat"})
    tell(bus, "engine.model.failed", {}, {"model": "chat"})
    tell(bus, "telemetry.handler.failed", {}, {})
    tell(bus, "telemetry.facts.dropped", {"n_facts": 3}, {})

    assert value(registry, "actor_restarts_total", child="chat (actor)") == 1
    assert value(registry, "actor_crashes_total", kind="ModelActor") == 1
    assert value(registry, "supervisors_gave_up_total") == 1
    assert value(registry, "messages_dropped_total", cause="dead") == 2
    assert value(registry, "model_load_failures_total", model="chat") == 1
    assert value(registry, "model_failures_total", model="chat") == 1
    assert value(registry, "telemetry_handler_failures_total") == 1
    assert value(registry, "telemetry_facts_dropped_total") == 3


def test_memory_that_is_short_asked_for_and_given_back_is_told_by_domain_and_rung() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    assert value(registry, "memory_pressed", domain="host") == 0
    tell(bus, "engine.pressure.began", {"used_bytes": 95, "limit_bytes": 100}, {"domain": "gpu0"})
    for step_, won in (("shrink", 0), ("unload", 70)):
        about = {"domain": "gpu0", "step": step_, "owner": "chat"}
        tell(bus, "engine.pressure.asked", {"asked_bytes": 50}, about)
        tell(bus, "engine.pressure.won", {"asked_bytes": 50, "won_bytes": won, "duration_s": 0.5}, about)
    assert value(registry, "memory_pressed", domain="gpu0") == 1
    tell(bus, "engine.pressure.ended", {}, {"domain": "gpu0"})

    assert value(registry, "memory_pressed", domain="gpu0") == 0
    assert value(registry, "memory_pressures_total", domain="gpu0") == 1
    assert value(registry, "memory_pressures_total", domain="host") == 0
    assert value(registry, "memory_asks_total", domain="gpu0", step="unload") == 1
    assert value(registry, "memory_asked_bytes_total", domain="gpu0", step="shrink") == 50
    assert value(registry, "memory_won_bytes_total", domain="gpu0", step="shrink") == 0
    assert value(registry, "memory_won_bytes_total", domain="gpu0", step="unload") == 70
    assert value(registry, "memory_answer_seconds_sum", step="unload") == 0.5


def test_each_rung_of_the_hosts_ladder_has_its_series_from_the_start() -> None:
    registry = attach_prometheus(Bus())
    steps = {step.name.lower() for step in Step}

    assert set(HOST_STEPS) == steps - {"stop_admitting"}
    for step_ in HOST_STEPS:
        assert value(registry, "memory_won_bytes_total", domain="host", step=step_) == 0


def test_a_context_that_is_put_aside_and_opened_again_is_counted() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus)
    tell(bus, "engine.context.parked", {"freed_bytes": 900, "kept_bytes": 100}, {"model": "chat"})
    assert value(registry, "model_parked", model="chat") == 1
    reopened = {"duration_s": 0.25, "n_seq": 4, "n_wanted": 8}
    tell(bus, "engine.context.reopened", reopened, {"model": "chat"})

    assert value(registry, "model_parked", model="chat") == 0
    assert value(registry, "model_parks_total", model="chat") == 1
    assert value(registry, "model_parked_bytes_total", model="chat") == 900
    assert value(registry, "model_sequences", model="chat") == 4
    assert value(registry, "model_reopen_seconds_sum", model="chat") == 0.25


def test_each_reader_reads_a_declared_event_and_only_its_declared_keys() -> None:
    bus = StrictBus()
    attach_prometheus(bus)
    names = PrometheusReaders(PrometheusSeries(Families(Bus())), label_limit=1).table

    for name in names:
        ends = {"finish_reason": "end"} if "finish_reason" in DECLARED[name].metadata else {}
        tell(bus, ".".join(name), {}, ends)
    assert bus.flush(timeout_s=60)
    assert bus.handler_ids() == ("prometheus",), "a reader asked for a key that its event does not declare"


def test_names_that_users_give_make_a_bounded_number_of_series() -> None:
    bus = StrictBus()
    registry = attach_prometheus(bus, label_limit=3)
    for number in range(20):
        tell(bus, "engine.model.loaded", {"weights_bytes": number}, {"model": f"m{number}"})
        tell(bus, "engine.turn.ended", TURN, {"model": f"m{number}", "finish_reason": "end"})
        tell(bus, "actors.child.restart", {}, {"child": f"c{number}"})

    labels = {dict(labels).get("model") for _, labels in samples_of(registry)}
    assert labels == {None, "m0", "m1", "m2", "other"}
    assert value(registry, "turns_total", model="other", finish_reason="end") == 17
    assert value(registry, "actor_restarts_total", child="other") == 17


@pytest.mark.parametrize(
    ("n_tokens", "label"),
    [(0, "0-511"), (511, "0-511"), (512, "512-2047"), (8192, "8192-32767"), (131072, "131072+")],
)
def test_context_sizes_fall_into_few_buckets(n_tokens: int, label: str) -> None:
    assert context_bucket(n_tokens) == label


def test_a_registry_of_the_users_own_is_used_and_two_buses_cannot_share_it() -> None:
    mine = CollectorRegistry()
    assert attach_prometheus(Bus(), registry=mine) is mine
    assert any(name.startswith("actorllama_") for name, _ in samples_of(mine))

    bus = Bus()
    with pytest.raises(ValueError, match="Duplicated"):
        attach_prometheus(bus, registry=mine)
    assert bus.handler_ids() == ()


def test_names_follow_the_conventions() -> None:
    text = generate_latest(attach_prometheus(Bus())).decode()
    families = [one for one in text_string_to_metric_families(text) if not one.name.endswith("_created")]
    assert len(families) > 30
    units = ("_seconds", "_bytes", "_tokens", "_tokens_per_second")
    for family in families:
        assert family.name.startswith("actorllama_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith(units)


def test_without_the_library_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'actorllama\[prometheus\]'"):
        attach_prometheus(Bus())
