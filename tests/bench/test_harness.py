"""Sides take turns at being first, and figures come with their spread."""

from __future__ import annotations

import pytest

from actorllama.bench.harness import CpuMeter, Spread, in_turns


async def test_sides_take_turns_at_being_first_and_the_warm_up_does_not_count() -> None:
    order: list[tuple[str, int]] = []

    async def left(number: int) -> float:
        order.append(("left", number))
        return float(number)

    async def right(number: int) -> float:
        order.append(("right", number))
        return 10.0 + number

    ours, bare = await in_turns(left, right, n_rounds=4)
    assert (ours, bare) == ((0.0, 1.0, 2.0, 3.0), (10.0, 11.0, 12.0, 13.0))
    first_of = {number: side for side, number in reversed(order)}
    assert [first_of[number] for number in range(-1, 4)] == ["right", "left", "right", "left", "right"]
    assert len(order) == 2 * 5


async def test_rounds_can_be_asked_for_one_by_one_without_a_warm_up() -> None:
    order: list[str] = []

    def side(name: str) -> None:
        order.append(name)

    async def one(_number: int) -> None:
        side("one")

    async def two(_number: int) -> None:
        side("two")

    for number in range(2):
        assert await in_turns(one, two, n_rounds=1, n_warm_up=0, first=number) == ((None,), (None,))
    assert order == ["one", "two", "two", "one"]


def test_a_spread_tells_its_median_its_middle_half_and_its_ends() -> None:
    facts = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]).to_json("x_s")
    assert facts == {"x_s": 3.0, "x_s_q1": 2.0, "x_s_q3": 4.0, "x_s_min": 1.0, "x_s_max": 5.0}
    assert Spread.of([7.0]).quartiles == (7.0, 7.0)


def test_ratios_are_of_neighbours_in_time() -> None:
    assert Spread.of_ratios([2.0, 30.0], [1.0, 10.0]).values == (2.0, 3.0)
    with pytest.raises(ValueError, match="one figure"):
        Spread.of([])


def test_processor_time_is_told_for_a_thousand_tokens() -> None:
    meter = CpuMeter()
    assert meter.s_per_1000_tokens is None
    with meter.measuring(10):
        assert sum(range(1000)) > 0
    meter.add(10)
    assert meter.cpu_s > 0
    assert meter.s_per_1000_tokens == 1000 * meter.cpu_s / 20
    meter.clear()
    assert (meter.cpu_s, meter.n_tokens) == (0.0, 0)
