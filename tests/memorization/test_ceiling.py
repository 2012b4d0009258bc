from __future__ import annotations

import numpy as np
import pytest
from memobench.memorization.ceiling import ceiling, memorized_ceiling
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools, rates, tally

CASES = [
    pytest.param(50, 1.0, 1e6, 0.0, id="homogeneous"),
    pytest.param(20, 4.0, 1e6, 0.05, id="homogeneous, chance hits"),
    pytest.param(30, 3.0, 0.5, 0.05, id="very unequal rates"),
    pytest.param(60, 0.5, 2.0, 0.01, id="few copies each"),
]


def _covered(memorized: int, rate: float, shape: float, chance: float, draws: int) -> float:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(draws):
        rates_ = rate * rng.gamma(shape, 1 / shape, size=100) * (np.arange(100) < memorized)
        found = ceiling(rng.poisson(rates_ + chance), rng.poisson(chance, size=100))
        assert found.low <= found.value <= found.high <= 100
        covered += found.low <= memorized <= found.high
    return covered / draws


@pytest.mark.smoke
@pytest.mark.parametrize(("memorized", "rate", "shape", "chance"), CASES)
def test_ceiling_covers_the_truth(memorized: int, rate: float, shape: float, chance: float) -> None:
    assert _covered(memorized, rate, shape, chance, 6) >= 5 / 6


@pytest.mark.slow
@pytest.mark.parametrize(("memorized", "rate", "shape", "chance"), CASES)
def test_ceiling_covers_the_truth_in_most_draws(memorized: int, rate: float, shape: float, chance: float) -> None:
    assert _covered(memorized, rate, shape, chance, 100) >= 0.90


def test_without_hits_nothing_is_found_but_rare_copies_stay_possible() -> None:
    none = np.zeros(100, int)
    found = ceiling(none, none)
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0 < found.high < 40


def test_decoys_are_taken_away() -> None:
    rng = np.random.default_rng(0)
    hits, decoys = rng.poisson(0.5, 100), rng.poisson(0.5, 100)
    assert ceiling(hits, decoys).low == 0.0
    assert ceiling(hits, np.zeros(100, int)).low > 20
    # a collapsed generator repeats a few images, on either side by chance
    repeated, other = np.zeros(100, int), np.zeros(100, int)
    repeated[:2], other[:3] = 51, 48
    assert ceiling(repeated, other).low == 0.0
    assert ceiling(repeated, other).value == 0.0


def test_all_found_many_times_is_all() -> None:
    found = ceiling(np.full(50, 20), np.zeros(50, int))
    assert found.value == found.high == 50
    assert found.low > 45


def test_one_patient() -> None:
    found = ceiling(np.array([3]), np.array([0]))
    assert (found.value, found.high) == (1.0, 1.0)


def test_ceiling_is_no_lower_than_what_was_found() -> None:
    pools = Pools(np.array([f"t{i}" for i in range(30)]), np.array([f"h{i}" for i in range(30)]))
    index = np.concatenate([np.arange(12), np.arange(4)])
    decisions = decide(np.ones(16, np.float32), index, np.zeros(16, np.float32), index, 0.5)
    memorized = rates(tally(decisions, pools), draws=199)["memorized_patients"]
    metric = memorized_ceiling(tally(decisions, pools), memorized)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low <= metric.value <= metric.high <= 30
    assert metric.value >= memorized.value
