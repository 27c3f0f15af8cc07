"""Readings are whole or not at all, the tightest counts, and a callback's fault is told."""

from __future__ import annotations

from typing import cast

import pytest

from actorllama.native.memory import HOST, CallbackSource, MemoryDomain, MemoryReading, tightest
from actorllama.native.memory_sources import default_sources, read_all

GPU = MemoryDomain(kind="gpu", index=1, uuid="GPU-b", pci="0000:41:00.0")


def reading(used: int, limit: int, domain: MemoryDomain = HOST) -> MemoryReading:
    return MemoryReading(domain=domain, source="test", used_bytes=used, limit_bytes=limit)


def test_domains_have_names_for_events() -> None:
    assert (HOST.name, GPU.name) == ("host", "gpu1")


def test_a_reading_tells_its_share_and_what_is_free() -> None:
    assert (reading(30, 40).used_share, reading(30, 40).free_bytes) == (0.75, 10)
    assert (reading(50, 40).used_share, reading(50, 40).free_bytes) == (1.25, 0)
    stalled = MemoryReading(domain=HOST, source="stall", stall_share=0.5)
    assert (stalled.used_share, stalled.free_bytes) == (None, None)


@pytest.mark.parametrize(
    "figures",
    [
        {"used_bytes": 1},
        {"limit_bytes": 1},
        {"used_bytes": -1, "limit_bytes": 1},
        {"used_bytes": 0, "limit_bytes": 0},
        {"stall_share": 1.5},
        {"stall_share": float("nan")},
    ],
)
def test_a_reading_that_cannot_be_is_none(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|belong together"):
        MemoryReading(domain=HOST, source="test", **figures)  # type: ignore[arg-type]


def test_the_tightest_reading_of_a_domain_counts() -> None:
    loose, tight, other = reading(1, 10), reading(9, 10), reading(10, 10, GPU)
    stalled = MemoryReading(domain=HOST, source="stall", stall_share=1.0)
    assert tightest((loose, stalled, tight, other), HOST) == tight
    assert tightest((loose, tight), GPU) is None


def test_a_callback_is_asked_at_each_reading() -> None:
    figures = [reading(1, 10)]
    source = CallbackSource(lambda: figures, name="arena")
    assert source.read().readings == (reading(1, 10),)
    figures[0] = reading(2, 10)
    report = source.read()
    assert (report.source, report.readings, report.is_available) == ("arena", (reading(2, 10),), True)
    source.close()


def test_a_callback_that_raises_or_gives_odd_things_is_told_and_not_fatal() -> None:
    def broken() -> list[MemoryReading]:
        raise KeyError("gone")

    report = CallbackSource(broken).read()
    assert (report.is_available, report.why_not) == (False, "KeyError: 'gone'")
    odd = cast("list[MemoryReading]", [reading(1, 2), 7])
    report = CallbackSource(lambda: odd).read()
    assert (report.readings, report.why_not) == ((reading(1, 2),), "gave int where a MemoryReading belongs")


def test_every_source_of_this_machine_has_something_to_say_or_says_why_not() -> None:
    sources = default_sources()
    for report in (*read_all(sources), *read_all(sources)):
        assert report.is_available or report.why_not
    for source in sources:
        source.close()
        source.close()
    assert [source.name for source in sources] == ["system", "stall", "cgroup", "process", "nvml"]
    assert read_all(sources)[0].is_available
