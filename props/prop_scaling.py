"""The exponent of a curve: that of a power is found, whatever its unit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorllama.bench.scaling import fit_power

SIZES = st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True)
EXPONENTS = st.floats(-3, 3)
FACTORS = st.floats(1e-9, 1e3)
NOISE = st.floats(0.5, 2.0)


@given(SIZES, EXPONENTS, FACTORS)
def prop_the_exponent_of_a_power_is_found(sizes: list[int], exponent: float, factor: float) -> None:
    fit = fit_power([(float(size), factor * math.pow(size, exponent)) for size in sizes])
    assert fit.exponent == pytest.approx(exponent, abs=1e-6)
    assert fit.stderr is None or fit.stderr < 1e-5


@given(SIZES, st.data(), FACTORS, FACTORS)
def prop_units_of_size_and_cost_do_not_change_the_exponent(
    sizes: list[int], data: st.DataObject, scale_x: float, scale_y: float
) -> None:
    costs = data.draw(st.lists(NOISE, min_size=len(sizes), max_size=len(sizes)))
    points = [(float(size), cost) for size, cost in zip(sizes, costs, strict=True)]
    scaled = [(scale_x * size, scale_y * cost) for size, cost in points]
    assert fit_power(scaled).exponent == pytest.approx(fit_power(points).exponent, abs=1e-6, rel=1e-6)
