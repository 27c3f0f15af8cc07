"""A source that tells what a test set."""

from __future__ import annotations

import pytest

from actorllama.native.memory import HOST, MemoryDomain
from actorllama.testing.manual_pressure import ManualPressure

GPU = MemoryDomain(kind="gpu", index=1)


def test_it_tells_what_was_set_until_something_else_is() -> None:
    source = ManualPressure()
    assert source.read().why_not == "nothing was set"
    source.set(used_bytes=9, limit_bytes=10)
    source.set(GPU, used_bytes=1, limit_bytes=4, stall_share=0.5)
    shares = {reading.domain: reading.used_share for reading in source.read().readings}
    assert shares == {HOST: 0.9, GPU: 0.25}
    source.free(HOST, 4)
    source.free(GPU, 100)
    assert [reading.used_bytes for reading in source.read().readings] == [5, 0]
    assert source.n_reads == 3


def test_it_can_fail_and_come_back() -> None:
    source = ManualPressure()
    source.set(used_bytes=9, limit_bytes=10)
    source.fail("unplugged")
    assert (source.read().is_available, source.read().why_not) == (False, "unplugged")
    source.set(used_bytes=1, limit_bytes=10)
    assert source.read().is_available
    source.close()
    assert source.is_closed


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        ManualPressure().set(used_bytes=1)
