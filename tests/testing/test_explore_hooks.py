"""An unknown trio is told, and never half-changed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio._core._run as trio_run

from actorllama.testing import UnknownScheduler, explore, fifo
from actorllama.testing.explorer import ExplorationRunning, SchedulerHooks


class Deaf:
    """A generator that looks right and is never asked."""

    def shuffle(self, batch: list[object]) -> None:
        raise AssertionError("nobody calls this")


def stand_in(**attributes: object) -> SchedulerHooks:
    return SchedulerHooks(run_module=SimpleNamespace(**attributes), trio_version="99.0")


async def nothing() -> None:
    """Do nothing."""


def test_the_installed_trio_obeys() -> None:
    SchedulerHooks.of_trio().self_test()


@pytest.mark.parametrize("name", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT"])
def test_a_missing_hook_is_named(name: str) -> None:
    attributes = {"_r": Deaf(), "_ALLOW_DETERMINISTIC_SCHEDULING": False, "GLOBAL_RUN_CONTEXT": object()}
    del attributes[name]
    with pytest.raises(UnknownScheduler, match=f"99.0.*{name}"):
        explore(nothing, strategy=fifo(), hooks=stand_in(**attributes))


def test_a_generator_without_shuffle_is_refused() -> None:
    hooks = stand_in(_r=object(), _ALLOW_DETERMINISTIC_SCHEDULING=False, GLOBAL_RUN_CONTEXT=object())
    with pytest.raises(UnknownScheduler, match="shuffle"):
        hooks.self_test()


def test_a_loop_that_ignores_the_hook_is_refused() -> None:
    """The names are there, but the loop does not look at them."""
    module = SimpleNamespace(_r=Deaf(), _ALLOW_DETERMINISTIC_SCHEDULING=False, GLOBAL_RUN_CONTEXT=object())
    hooks = SchedulerHooks(run_module=module, trio_version="99.0")
    with pytest.raises(UnknownScheduler, match="the loop stepped"):
        explore(nothing, strategy=fifo(), hooks=hooks)
    assert isinstance(module._r, Deaf)


def test_a_second_installation_is_refused_and_changes_nothing() -> None:
    hooks = SchedulerHooks.of_trio()
    before = trio_run._r
    with hooks.installed(lambda ready: ready):
        with pytest.raises(ExplorationRunning), hooks.installed(lambda ready: ready):
            raise AssertionError("not reached")
        assert trio_run._r is not before
    assert trio_run._r is before


def test_a_trio_without_its_run_module_is_refused() -> None:
    with pytest.raises(UnknownScheduler, match=r"no trio\._core\._gone"):
        SchedulerHooks.of_trio("trio._core._gone")
