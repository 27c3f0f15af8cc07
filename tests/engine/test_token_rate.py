"""Tokens per second, from running totals."""

from __future__ import annotations

import pytest

from actorllama.engine.token_rate import TokenRate


def rate_of(*readings: tuple[float, int]) -> float:
    rate = TokenRate()
    for now_s, n_tokens in readings:
        rate.note(n_tokens, now_s=now_s)
    return rate.per_s


def test_nothing_is_known_from_one_reading() -> None:
    assert rate_of() == rate_of((5.0, 100)) == 0.0


def test_a_steady_model_has_its_speed_however_often_it_is_read() -> None:
    assert rate_of((0.0, 0), (0.5, 50)) == pytest.approx(100.0)
    assert rate_of(*((n / 100, n) for n in range(1000))) == pytest.approx(100.0)


def test_what_is_older_than_a_second_is_forgotten() -> None:
    slow_then_fast = [
        *((float(n), n) for n in range(10)),
        *((9.0 + n / 10, 9 + 10 * n) for n in range(1, 20)),
    ]
    assert rate_of(*slow_then_fast) == pytest.approx(100.0)


def test_readings_that_bring_nothing_new_and_a_clock_that_stands_still_change_nothing() -> None:
    assert rate_of((0.0, 0), (1.0, 10), (1.0, 20), (2.0, 10)) == pytest.approx(10.0)


def test_a_pause_does_not_count() -> None:
    rate = TokenRate()
    rate.note(0, now_s=0.0)
    rate.note(10, now_s=1.0)
    rate.forget()
    assert rate.per_s == 0.0
    rate.note(10, now_s=100.0)
    rate.note(20, now_s=101.0)
    assert rate.per_s == pytest.approx(10.0)
