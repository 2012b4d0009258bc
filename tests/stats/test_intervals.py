from __future__ import annotations

import numpy as np
import pytest
from memobench.stats.intervals import (
    beyond_chance,
    difference,
    effective_size,
    influence_covariance,
    jeffreys,
    ratio,
    repetition,
    share_interval,
)
from scipy import stats


def test_jeffreys_covers_about_95_percent_on_average_over_shares() -> None:
    n, truths = 40, np.linspace(0.02, 0.98, 97)
    ends = np.array([jeffreys(x, n) for x in range(n + 1)])
    inside = (ends[:, :1] <= truths) & (truths <= ends[:, 1:])
    chance = stats.binom.pmf(np.arange(n + 1)[:, None], n, truths)
    assert (inside * chance).sum(axis=0).mean() == pytest.approx(0.95, abs=0.01)


def test_jeffreys_holds_the_estimate_at_the_ends_and_without_trials() -> None:
    assert jeffreys(0, 5)[0] == 0.0
    assert jeffreys(5, 5)[1] == 1.0
    assert jeffreys(0, 0) == (0.0, 1.0)
    low, high = jeffreys(0.05, 3)
    assert low <= 0.05 / 3 <= high


def test_influences_give_the_variance_of_a_mean_within_each_pool() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=60) + 5.0 * (np.arange(60) < 20)  # the difference between the pools is no variance
    covariance = influence_covariance(np.stack([x, 2 * x], axis=1), np.arange(60) < 20)
    expected = 20 * x[:20].var(ddof=1) + 40 * x[20:].var(ddof=1)
    assert covariance == pytest.approx(expected * np.array([[1, 2], [2, 4]]))


def test_what_the_number_of_images_explains_is_no_variance() -> None:
    images = np.tile([1.0, 2.0, 5.0], 20)
    assert influence_covariance(images[:, None], np.arange(60) < 30, images) == pytest.approx(0.0, abs=1e-9)
    assert influence_covariance(images[:, None], np.arange(60) < 30)[0, 0] > 100


def test_a_pool_of_one_patient_keeps_its_square() -> None:
    assert influence_covariance(np.array([[3.0], [0.0]]), np.array([True, False]))[0, 0] == 9.0


def test_a_share_without_variance_falls_back() -> None:
    assert share_interval(0.0, 0.0, most=9, fallback=10) == (0.0, *jeffreys(0, 10))
    assert share_interval(0.5, 1e-9, most=100, fallback=10) == (0.5, *jeffreys(50, 100))


def test_difference_of_independent_shares_is_newcombes() -> None:
    d, low, high = difference((0.8, 0.7, 0.88), (0.5, 0.4, 0.6))
    assert low == pytest.approx(d - (0.1**2 + 0.1**2) ** 0.5)
    assert high == pytest.approx(d + (0.08**2 + 0.1**2) ** 0.5)


def test_ratio_ends_where_the_difference_ends_at_zero() -> None:
    first, second = (0.3, 0.2, 0.45), (0.8, 0.7, 0.9)
    _, low, high = ratio(first, second)
    for end, index in ((low, 1), (high, 2)):
        scaled = tuple(end * value for value in second)
        assert difference(first, scaled)[index] == pytest.approx(0.0, abs=1e-9)  # type: ignore[arg-type]


def test_ratio_without_a_bound_is_infinite() -> None:
    value, low, high = ratio((0.3, 0.2, 0.4), (0.1, 0.0, 0.5))
    assert value == pytest.approx(3.0)
    assert high == float("inf")
    assert 0 <= low < 3


def test_ratio_covers() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(600):
        x, y = rng.binomial(60, 0.3), rng.binomial(40, 0.8)
        _, low, high = ratio((x / 60, *jeffreys(x, 60)), (y / 40, *jeffreys(y, 40)))
        covered += low <= 0.3 / 0.8 <= high
    assert 0.93 <= covered / 600 <= 0.98


def test_beyond_chance_takes_chance_away_and_covers() -> None:
    rng, covered, values = np.random.default_rng(0), 0, []
    for _ in range(600):
        x, y = rng.binomial(100, 1 - 0.7 * 0.6), rng.binomial(100, 0.4)  # 30% copied, 40% hit by chance
        value, low, high = beyond_chance((x / 100, *jeffreys(x, 100)), (y / 100, *jeffreys(y, 100)))
        values.append(value)
        covered += low <= 0.3 <= high
    assert np.mean(values) == pytest.approx(0.3, abs=0.015)
    assert 0.93 <= covered / 600 <= 0.98


def test_beyond_chance_is_odd() -> None:
    a, b = (0.5, 0.4, 0.6), (0.2, 0.1, 0.3)
    value, low, high = beyond_chance(a, b)
    assert beyond_chance(b, a) == (-value, -high, -low)


def test_sizes() -> None:
    assert effective_size(np.zeros(3)) == 0.0
    assert repetition(np.zeros(3)) == 1.0
    independent = np.bincount(np.random.default_rng(0).integers(200, size=1000), minlength=200).astype(float)
    assert repetition(independent) == pytest.approx(1.0, abs=0.05)
    collapsed = np.array([200.0] * 5 + [0.0] * 195)
    assert 1000 / repetition(collapsed) < 70
