from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools, rates, tally
from memobench.memorization.sensitivity import corrected, corrected_patients, patient_sensitivity
from memobench.results import Metric
from memobench.stats.intervals import jeffreys


def _metric(value: float, low: float, high: float) -> Metric:
    return Metric(value=value, low=low, high=high, null=0.0, better="lower", p_value=0.01)


@pytest.mark.parametrize(("rate", "sensitivity"), [(0.05, 0.9), (0.2, 0.6), (0.5, 0.8)])
def test_corrected_rate_covers_the_truth(rate: float, sensitivity: float) -> None:
    rng, covered, values = np.random.default_rng(0), 0, []
    for _ in range(500):
        x, y = rng.binomial(256, rate * sensitivity), rng.binomial(60, sensitivity)
        metric = corrected(_metric(x / 256, *jeffreys(x, 256)), (y / 60, *jeffreys(y, 60)))
        assert metric.low is not None
        assert metric.high is not None
        values.append(metric.value)
        covered += metric.low <= rate <= metric.high
    assert 0.93 <= covered / 500 <= 0.98
    assert np.mean(values) == pytest.approx(rate, rel=0.05)


def test_a_perfect_detector_changes_nothing() -> None:
    for ends in [(0.2, 0.1, 0.3), (0.01, -0.02, 0.05), (-0.1, -0.2, 0.05), (-0.1, -0.2, -0.05)]:
        metric = corrected(_metric(*ends), (1.0, 1.0, 1.0))
        assert (metric.value, metric.low, metric.high) == pytest.approx(ends)
        assert (metric.null, metric.p_value) == (0.0, 0.01)


def test_the_result_stays_possible() -> None:
    metric = corrected(_metric(0.6, 0.4, 0.8), (0.5, 0.0, 0.9))
    assert (metric.value, metric.high) == (1.0, 1.0)
    assert metric.low is not None
    assert 0.4 <= metric.low <= 1
    nothing = corrected(_metric(0.0, -0.02, 0.02), (0.5, 0.3, 0.7))
    assert nothing.value == 0.0
    assert nothing.low == pytest.approx(-nothing.high)  # type: ignore[operator]


def test_a_sensitivity_that_is_not_a_share_is_refused() -> None:
    with pytest.raises(DataError, match="not a share above 0"):
        corrected(_metric(0.1, 0.0, 0.2), (0.0, 0.0, 0.1))
    with pytest.raises(DataError, match="interval"):
        corrected(Metric(value=0.1, better="lower"), (0.5, 0.4, 0.6))


@pytest.mark.parametrize("rate", [0.3, 1.5, 4.0])
def test_patients_with_many_copies_are_found_though_some_are_missed(rate: float) -> None:
    rng, sensitivity, found, all_ = np.random.default_rng(0), 0.8, [], []
    for _ in range(200):
        copies = rng.poisson(rate, size=100)
        seen = rng.binomial(copies, sensitivity).astype(float)
        all_.append((copies > 0).sum())
        found.append((seen > 0).sum() / patient_sensitivity(seen, np.ones(100), sensitivity))
    assert np.mean(found) == pytest.approx(np.mean(all_), rel=0.02)


def test_corrected_patients_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    pools = Pools(np.array([f"t{i:02}" for i in range(80)]), np.array([f"h{i:02}" for i in range(80)]))
    for seed in range(60):
        source = rng.integers(40, size=60)  # 40 of 80 patients are memorized
        score = np.where(rng.random(60) < 0.7, 0.95, 0.5).astype(np.float32)
        decisions = decide(score, source, np.full(60, 0.1, np.float32), source, 0.9)
        y = rng.binomial(100, 0.7)
        memorized = rates(tally(decisions, pools), seed=seed, draws=99)["memorized_patients"]
        metric = corrected_patients(memorized, tally(decisions, pools), (y / 100, *jeffreys(y, 100)))
        assert metric.low is not None
        assert metric.high is not None
        covered += metric.low <= 40 * (1 - (1 - 1 / 40) ** 60) <= metric.high
    assert covered / 60 >= 0.88


def test_no_end_of_a_corrected_share_is_impossible() -> None:
    whole = Metric(value=1.0, low=1.0, high=1.0, null=0.0, better="lower")
    found = corrected(whole, (0.97, 0.95, 0.99))
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
