"""The codec bench compares what it says, and says so when the ground under it moves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import trio
from attrs import evolve
from numpy.typing import NDArray

from actorllama.bench.codec import CodecBenchOptions, run_codec_bench
from actorllama.bench.codec_figures import CodecFigures, Distance, Speed, distance, fastest
from actorllama.bench.codec_report import CodecReport
from actorllama.bench.facts import BenchStart
from actorllama.demo import model_path
from actorllama.errors import RequestError
from actorllama.kvcache import CODECS
from actorllama.testing.random_models import write_random_model

KEYS = {"name", "is_lossy", "ratio", "encode_gb_s", "decode_gb_s", "kl_mean", "kl_max", "top1_agreement"}
EXACT = Distance(kl_mean=0.0, kl_max=0.0, top1_agreement=1.0, n_positions=8)


def logits(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def figures(name: str = "zstd", *, is_lossy: bool = False, found: Distance = EXACT) -> CodecFigures:
    speed = Speed(thread_bytes_s=3e9, wall_bytes_s=2e9)
    return CodecFigures(
        name=name, is_lossy=is_lossy, ratio=2.0, blocks_ratio=1.5, encode=speed, decode=speed, distance=found
    )


def report(*rows: CodecFigures) -> CodecReport:
    return CodecReport(
        facts=BenchStart.now().facts(),
        options={},
        label="m",
        n_params=5,
        n_tokens=64,
        boundaries=(32,),
        n_positions=8,
        state_bytes=100,
        codecs=rows,
    )


# -- what is computed --------------------------------------------------------------------------------


def test_equal_logits_are_exactly_no_distance_apart() -> None:
    rows = np.random.default_rng(1).standard_normal((50, 300)).astype(np.float32) * 20
    assert distance(rows, rows.copy()) == evolve(EXACT, n_positions=50)


def test_the_divergence_is_that_of_the_textbook() -> None:
    live, other = logits([0.0, 0.0]), logits([0.0, math.log(3.0)])
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert distance(live, other).kl_mean == pytest.approx(expected, rel=1e-6)


def test_one_position_in_many_is_seen_in_the_largest_divergence_and_the_agreement() -> None:
    live = logits(*([[3.0, 1.0, 0.0]] * 4))
    other = live.copy()
    other[2] = [1.0, 3.0, 0.0]
    found = distance(live, other)
    assert found.kl_max == pytest.approx(4 * found.kl_mean)
    assert found.top1_agreement == 0.75


def test_a_last_bit_that_differs_is_a_distance() -> None:
    live = logits([1.0, 2.0])
    other = live.copy()
    other[0, 0] = np.nextafter(np.float32(1.0), np.float32(2.0))
    assert distance(live, other).kl_max > 0
    assert not distance(live, other).is_none


def test_a_shift_of_all_logits_makes_no_difference_to_probabilities_and_is_told_all_the_same() -> None:
    found = distance(logits([1.0, 2.0]), logits([2.0, 3.0]))
    assert 0 < found.kl_max < 1e-12
    assert found.top1_agreement == 1.0


def test_a_codec_pays_below_the_speed_at_which_the_bytes_it_saves_take_as_long_as_it_does() -> None:
    row = figures()
    tier_bytes_s = row.read_break_even_bytes_s
    n_bytes = 9e6
    plain_s = n_bytes / tier_bytes_s
    encoded_s = n_bytes / row.blocks_ratio / tier_bytes_s + n_bytes / row.decode.thread_bytes_s
    assert plain_s == pytest.approx(encoded_s)


def test_a_codec_that_saves_nothing_never_pays() -> None:
    row = evolve(figures(), blocks_ratio=0.99)
    assert (row.read_break_even_bytes_s, row.write_break_even_bytes_s) == (0.0, 0.0)
    assert "never" in report(row).lines()[2]


def test_speed_is_bytes_over_the_fastest_call() -> None:
    calls: list[int] = []
    speed = fastest(lambda: calls.append(len(calls)), n_bytes=1000)
    assert len(calls) > 1
    assert 0 < speed.wall_bytes_s < math.inf


# -- what is told ------------------------------------------------------------------------------------


def test_a_lossless_codec_off_the_live_run_is_told_first_and_loud() -> None:
    off = Distance(kl_mean=1e-9, kl_max=1e-8, top1_agreement=1.0, n_positions=8)
    found = report(figures("none"), figures("lz4", found=off), figures("q8", is_lossy=True, found=off))
    assert found.not_exact == ("lz4",)
    assert found.notes()[0].startswith("NOT EXACT: lz4")
    assert found.to_json()["is_noise_floor_zero"] is False


def test_agreement_below_one_breaks_the_floor_even_without_divergence() -> None:
    assert report(figures(found=evolve(EXACT, top1_agreement=0.99))).not_exact == ("zstd",)


def test_the_report_says_that_a_toy_proves_nothing() -> None:
    assert "proves nothing about quality" in " ".join(report(figures()).notes())
    assert any("a toy" in line for line in report(figures()).lines())
    assert not evolve(report(figures()), n_params=7_000_000_000).is_toy


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("tokens", {"n_tokens": 35}),
        ("tokens", {"n_tokens": 1 << 20}),
        ("boundaries", {"n_boundaries": 0}),
        ("positions", {"n_positions": 0}),
        ("threads", {"n_threads": -1}),
    ],
)
def test_what_cannot_be_measured_is_refused(field: str, given: dict[str, int]) -> None:
    with pytest.raises(RequestError, match=field):
        CodecBenchOptions(model=Path("m.gguf"), label="m", **given)  # type: ignore[arg-type]


# -- on real states ----------------------------------------------------------------------------------


def small(path: Path) -> CodecBenchOptions:
    return CodecBenchOptions(model=path, label=path.stem, n_tokens=90, n_boundaries=2, n_positions=8)


@pytest.mark.slow
@pytest.mark.model
async def test_lossless_codecs_continue_exactly_as_the_live_run_and_q8_nearly() -> None:
    heard: list[str] = []
    found = await run_codec_bench(small(model_path()), heard.append)
    answer = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert found.boundaries == (41, 82)
    assert [row["name"] for row in answer["codecs"]] == list(CODECS)
    for row in answer["codecs"]:
        assert row.keys() >= KEYS
        assert row["n_positions"] == 16
        assert row["encode_gb_s"] > 0
        assert row["decode_gb_s"] > 0
        if not row["is_lossy"]:
            assert (row["kl_mean"], row["kl_max"], row["top1_agreement"]) == (0.0, 0.0, 1.0)
    by_name = {row.name: row for row in found.codecs}
    assert by_name["none"].ratio == 1.0
    assert 1.8 < by_name["q8"].ratio < 1.89
    assert 1.8 < by_name["q8"].blocks_ratio < 1.89
    assert 0 < by_name["q8"].distance.kl_max < 1
    assert answer.keys() >= {"machine", "model", "n_tokens", "codecs"}
    assert heard[0].startswith("loading")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma3", "jamba", "mamba"])
@pytest.mark.parametrize("flash_attention", [False, True], ids=["transposed", "flash"])
async def test_every_kind_of_state_comes_back_exactly(
    family: str, flash_attention: bool, tmp_path: Path
) -> None:
    path = write_random_model(tmp_path / f"{family}.gguf", family, seed=3)
    found = await run_codec_bench(evolve(small(path), flash_attention=flash_attention))
    assert found.not_exact == ()
    q8 = found.codecs[-1]
    assert q8.distance.is_none == (family == "mamba")  # recurrent rows are never rounded


@pytest.mark.slow
async def test_a_model_with_too_short_a_context_is_refused(tmp_path: Path) -> None:
    options = evolve(small(model_path()), n_tokens=4000, n_positions=3000)
    with pytest.raises(RequestError, match="holds 2048 tokens"):
        await run_codec_bench(options)


@pytest.mark.slow
@pytest.mark.model
async def test_a_bench_that_is_cancelled_ends_between_two_tokens() -> None:
    heard: list[str] = []
    with trio.CancelScope() as scope:

        def cancel_while_it_writes(line: str) -> None:
            heard.append(line)
            if line.startswith("writing"):
                scope.cancel()

        await run_codec_bench(evolve(small(model_path()), n_tokens=2000), cancel_while_it_writes)
    assert scope.cancelled_caught
    assert len(heard) == 2
