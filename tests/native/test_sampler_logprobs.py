"""Log-probabilities come from the model's own logits."""

import numpy as np
import pytest

from actorllama.native.llama.logprobs import top_logprobs


def row(seed: int, n: int = 500) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (np.random.default_rng(seed).standard_normal(n) * 4).astype(np.float32)


@pytest.mark.parametrize("n", [0, 1, 20, 500, 900])
def test_the_best_come_first_and_probabilities_add_up_to_one(n: int) -> None:
    given = row(1)
    chosen, best = top_logprobs(given, 7, n)
    exact = np.log(np.exp(given.astype(np.float64)) / np.exp(given.astype(np.float64)).sum())
    order = np.argsort(-given, kind="stable")[:n]
    assert [token for token, _ in best] == order.tolist()
    np.testing.assert_allclose([value for _, value in best], exact[order], atol=1e-12)
    assert chosen == pytest.approx(exact[7], abs=1e-12)


def test_equal_logits_come_by_token_id() -> None:
    _, best = top_logprobs(np.zeros(10, dtype=np.float32), 0, 3)
    assert [token for token, _ in best] == [0, 1, 2]


def test_a_token_that_the_model_forbids_is_minus_infinity() -> None:
    given = row(2)
    given[3] = -np.inf
    assert top_logprobs(given, 3, 1)[0] == -np.inf


def test_the_row_is_only_read() -> None:
    given = row(3)
    before = given.copy()
    top_logprobs(given, 0, 20)
    np.testing.assert_array_equal(given, before)
