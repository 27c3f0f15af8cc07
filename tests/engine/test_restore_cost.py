"""A restore is worth it where it is quicker than computing."""

from __future__ import annotations

from actorllama.engine.restore_cost import RestoreCost


def test_a_restore_of_few_cells_is_dearer_than_computing_them_quickly() -> None:
    cost = RestoreCost()
    cost.learn_size("ab", n_bytes=100_000, n_cells=100)
    assert not cost.is_worth("ab", n_cells=10, n_had=0, tier="ram", token_s=1e-6)
    assert cost.is_worth("ab", n_cells=10, n_had=0, tier="ram", token_s=1e-3)
    assert not cost.is_worth("ab", n_cells=10, n_had=10, tier="ram", token_s=1e-3)
    assert not cost.is_worth("ab", n_cells=10, n_had=10, tier="ram", token_s=None)
    assert cost.is_worth("ab", n_cells=11, n_had=10, tier="ram", token_s=None)


def test_only_what_a_restore_adds_counts_and_all_of_it_costs() -> None:
    cost = RestoreCost()
    cost.learn_size("ab", n_bytes=10_000_000, n_cells=1000)  # 5 ms from memory
    assert cost.is_worth("ab", n_cells=1000, n_had=0, tier="ram", token_s=1e-5)
    assert not cost.is_worth("ab", n_cells=1000, n_had=900, tier="ram", token_s=1e-5)


def test_the_disk_is_dearer_until_it_has_shown_otherwise() -> None:
    cost = RestoreCost()
    cost.learn_size("ab", n_bytes=1 << 20, n_cells=1)
    before_s = cost.seconds("ab", 100, "disk")
    assert before_s > cost.seconds("ab", 100, "ram")
    for _ in range(40):
        cost.learn_speed("disk", n_bytes=1 << 30, duration_s=0.1)
    assert cost.seconds("ab", 100, "disk") < before_s / 10


def test_a_restore_of_few_bytes_or_no_time_says_nothing_about_the_rate() -> None:
    cost = RestoreCost()
    cost.learn_size("ab", n_bytes=1 << 20, n_cells=1)
    before_s = cost.seconds("ab", 100, "ram")
    cost.learn_speed("ram", n_bytes=100, duration_s=1.0)
    cost.learn_speed("ram", n_bytes=1 << 30, duration_s=0.0)
    assert cost.seconds("ab", 100, "ram") == before_s


def test_of_an_unknown_namespace_only_the_fixed_part_is_known() -> None:
    cost = RestoreCost()
    assert cost.seconds("ab", 10, "ram") == cost.seconds("ab", 10_000, "ram") > 0
