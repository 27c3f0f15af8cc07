"""The dashboard asks for series that real traffic makes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actorllama import Config, open_runtime
from actorllama.errors import ModelLoadError, ModelUnavailable
from actorllama.kvcache import CacheOptions
from actorllama.runtime.names import model_name
from actorllama.telemetry import Bus, attach_prometheus

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "actorllama.json"
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_FUNCTIONS = {"histogram_quantile", "increase", "rate", "sum"}


class Target(TypedDict):
    expr: str


class Place(TypedDict):
    x: int
    y: int
    w: int
    h: int


class Panel(TypedDict):
    id: int
    type: str
    title: str
    description: str
    gridPos: Place
    datasource: dict[str, str]
    targets: NotRequired[list[Target]]


class Dashboard(TypedDict):
    uid: str
    schemaVersion: int
    panels: list[Panel]


def dashboard() -> Dashboard:
    found: Dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Give the title of each panel with each of its queries."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def bare(expression: str) -> str:
    """Leave out what is quoted."""
    return re.sub(r'"[^"]*"', '""', expression)


def metrics_of(expression: str) -> set[str]:
    """Find the names of series in a query: the words that are neither labels, functions nor durations."""
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby\s*\([^)]*\)", " ", bare(expression))
    return set(_WORD.findall(text)) - _FUNCTIONS


def labels_of(expression: str) -> dict[str, set[str]]:
    """Find the labels that a query selects by or groups by, for each series in it."""
    selected = set(re.findall(r"(\w+)\s*=~?", bare(expression)))
    grouped = {
        name for group in re.findall(r"\bby\s*\(([^)]*)\)", expression) for name in _WORD.findall(group)
    }
    return dict.fromkeys(metrics_of(expression), selected | grouped)


def is_balanced(expression: str) -> bool:
    """Tell whether all that opens is closed, in order."""
    closing = {")": "(", "]": "[", "}": "{"}
    stack: list[str] = []
    for sign in bare(expression):
        if sign in closing.values():
            stack.append(sign)
        elif sign in closing and (not stack or stack.pop() != closing[sign]):
            return False
    return not stack


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = dashboard()
    panels = board["panels"]
    assert (board["uid"], board["schemaVersion"]) == ("actorllama", 39)
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "two panels lie over each other"
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"]
            assert panel.get("targets")


def test_every_query_is_well_formed() -> None:
    for title, expression in expressions():
        assert is_balanced(expression), (title, expression)
        assert metrics_of(expression), (title, expression)
        assert all(name.startswith("actorllama_") for name in metrics_of(expression)), (title, expression)
        if "_bucket" in expression:
            assert "histogram_quantile" in expression
            assert "le" in labels_of(expression)[next(iter(metrics_of(expression)))]


def test_what_matters_is_on_the_dashboard() -> None:
    shown = {name for _, expression in expressions() for name in metrics_of(expression)}
    assert {
        "actorllama_turn_decode_tokens_per_second_bucket",
        "actorllama_turn_first_token_seconds_bucket",
        "actorllama_turn_inter_token_seconds_bucket",
        "actorllama_turns_queued",
        "actorllama_engine_batch_tokens_bucket",
        "actorllama_cache_hits_total",
        "actorllama_cache_written_bytes_total",
        "actorllama_cache_evictions_total",
        "actorllama_actor_restarts_total",
        "actorllama_memory_pressed",
        "actorllama_memory_asked_bytes_total",
        "actorllama_memory_won_bytes_total",
        "actorllama_model_parked",
        "actorllama_model_reopen_seconds_bucket",
        "actorllama_telemetry_facts_dropped_total",
    } <= shown


async def traffic(registry: CollectorRegistry, root: Path) -> None:
    """Take turns, go on with one, crash the model, lose a late answer, and load what is no model."""
    bus = Bus()
    attach_prometheus(bus, registry=registry)
    config = Config(cache=CacheOptions(ram_limit_bytes=1 << 20))
    async with open_runtime(config, bus=bus, state_dir=root) as rt:
        model = await rt.load("demo", n_seq=2, ctx_per_seq=256, n_threads=1)
        kept = await model.complete("2 + 3 =", max_tokens=8, keep=True)
        assert kept.resume_key is not None
        await model.resume(kept.resume_key, max_tokens=4)
        with trio.move_on_after(0):
            await model.complete("Once", max_tokens=200)
        broken = root / "broken.gguf"
        broken.write_bytes(b"GGUF")
        with pytest.raises(ModelLoadError):
            await rt.load("broken", broken)
        actor = rt.system.whereis(model_name("demo"))
        assert actor is not None
        rt.system.kill(actor, why="test")
        with trio.fail_after(60):
            while True:
                try:
                    await model.complete("Once", max_tokens=2)
                except ModelUnavailable:
                    continue
                break


@pytest.mark.model
@pytest.mark.slow
async def test_every_query_names_series_and_labels_that_real_traffic_makes(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    await traffic(registry, tmp_path)

    made: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            made.setdefault(sample.name, set()).update(sample.labels)
    for title, expression in expressions():
        for name, labels in labels_of(expression).items():
            assert name in made, (title, expression)
            assert labels <= made[name], (title, name)
