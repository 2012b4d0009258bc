from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from memobench.copies.decide import decide
from memobench.memorization.rates import Pools, rates
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
from simulation import Scenario, draw

NULLS = [
    (Scenario("good model"), {}),
    (Scenario("blurry model", spread=0.5), {}),
    (Scenario("collapsed to five images", collapsed=5), {}),
    (Scenario("another domain", offset=4.0), {}),
    (Scenario("few patients with many images"), {"patients": 15, "most_images": 20}),
]
NULL_VALUES = {"copy_rate": 0.0, "memorized_patients": 0.0, "memorized_rate": 0.0, "train_share": 0.5}


def _excluded(scenario: Scenario, options: dict[str, int], draws: int) -> dict[str, float]:
    count = dict.fromkeys(NULL_VALUES, 0)
    for seed in range(draws):
        metrics = rates(*draw(scenario, seed, **options), seed=seed)
        for name, null in NULL_VALUES.items():
            low, high = metrics[name].low, metrics[name].high
            assert low is not None
            assert high is not None
            count[name] += not low <= null <= high
    return {name: n / draws for name, n in count.items()}


@pytest.mark.smoke
@pytest.mark.parametrize(("scenario", "options"), NULLS, ids=lambda v: v.name if isinstance(v, Scenario) else "")
def test_null_is_rarely_excluded(scenario: Scenario, options: dict[str, int]) -> None:
    draws = 20
    limit = 0.05 + 2 * (0.05 * 0.95 / draws) ** 0.5
    assert max(_excluded(scenario, options, draws).values()) <= limit


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "options"), NULLS, ids=lambda v: v.name if isinstance(v, Scenario) else "")
def test_null_is_excluded_in_at_most_five_percent(scenario: Scenario, options: dict[str, int]) -> None:
    draws = 150
    limit = 0.05 + 2 * (0.05 * 0.95 / draws) ** 0.5
    assert max(_excluded(scenario, options, draws).values()) <= limit


@pytest.mark.parametrize("planted", [0.05, 0.2, 0.5, 1.0])
def test_planted_share_is_covered_and_seen(planted: float) -> None:
    draws = 20
    covered, estimates = 0, []
    for seed in range(draws):
        metric = rates(*draw(Scenario("planted", planted=planted), seed), seed=seed)["copy_rate"]
        assert metric.low is not None
        assert metric.high is not None
        assert metric.p_value is not None
        covered += metric.low <= planted <= metric.high
        estimates.append(metric.value)
        assert metric.p_value < 0.1
    assert covered >= 17
    assert np.mean(estimates) == pytest.approx(planted, abs=0.02)


def test_p_values_of_the_train_share_are_uniform_under_the_null() -> None:
    values = [rates(*draw(Scenario("good"), seed), seed=seed)["train_share"].p_value for seed in range(80)]
    assert stats.kstest([v for v in values if v is not None], "uniform").pvalue > 0.01


def _decisions(train: list[float], holdout: list[float], tau: float = 0.9):  # type: ignore[no-untyped-def]
    n = len(train)
    index = np.zeros(n, dtype=np.int64)
    return decide(np.array(train, np.float32), index, np.array(holdout, np.float32), index, tau)


def test_every_sample_a_copy_of_one_patient_is_one_patient() -> None:
    pools = Pools(np.array(["a", "b", "c"]), np.array(["d", "e", "f"]))
    metrics = rates(_decisions([0.99] * 50, [0.1] * 50), pools)
    assert metrics["copy_rate"].value == 1.0
    assert metrics["memorized_patients"].value == pytest.approx(1.0)
    assert metrics["memorized_rate"].value == pytest.approx(1 / 3)
    # one patient is one coin: the null cannot be excluded, however many samples repeat it
    assert metrics["copy_rate"].low is not None
    assert metrics["copy_rate"].low <= 0
    assert metrics["copy_rate"].p_value == pytest.approx(0.5, abs=0.05)


def test_one_sample_and_one_patient_each() -> None:
    metrics = rates(_decisions([0.5], [0.4]), Pools(np.array(["a"]), np.array(["b"])))
    for metric in metrics.values():
        assert np.isfinite(metric.value)
    assert metrics["train_share"].value == 1.0
    assert metrics["copy_rate"].value == 0.0


def test_ties_count_half() -> None:
    metrics = rates(_decisions([0.5, 0.5], [0.5, 0.5]), Pools(np.array(["a"]), np.array(["b"])))
    assert metrics["train_share"].value == 0.5


def test_false_discovery_rate_counts_decoys() -> None:
    pools = Pools(np.array(["a", "b", "c", "d"]), np.array(["e", "f", "g", "h"]))
    both = np.arange(4)
    found = decide(
        np.array([0.95, 0.95, 0.95, 0.1], np.float32), both, np.array([0.1, 0.1, 0.1, 0.96], np.float32), both, 0.9
    )
    assert rates(found, pools)["false_discovery_rate"].value == pytest.approx(2 / 3)
    assert rates(_decisions([0.1], [0.2]), pools)["false_discovery_rate"].value == 1.0
