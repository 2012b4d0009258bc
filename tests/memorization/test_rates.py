from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.calibration.scenarios import NULLS as SCENARIOS
from memobench.calibration.scenarios import Scenario, draw
from memobench.memorization.decide import Decisions, decide
from memobench.memorization.rates import NULLS, Pools, false_discovery_rate, rates, tally
from memobench.results import Metric


def _decisions(train: list[float], holdout: list[float], tau: float = 0.9, index: list[int] | None = None) -> Decisions:
    place = np.zeros(len(train), dtype=np.int64) if index is None else np.array(index)
    return decide(np.array(train, np.float32), place, np.array(holdout, np.float32), 0 * place, tau)


def rates_of(decisions: Decisions, pools: Pools, **more: Any) -> dict[str, Metric]:
    return rates(tally(decisions, pools), **more)


@pytest.mark.parametrize("copies", [1, 10])
def test_generated_equal_to_train(copies: int) -> None:
    metrics = rates_of(
        _decisions([1.0] * 6 * copies, [0.1] * 6 * copies, index=list(range(6)) * copies),
        Pools(np.array(["a", "a", "b", "c", "c", "c"]), np.array(["d", "d", "e", "f"])),
    )
    assert metrics["copy_rate"].value == 1.0
    assert metrics["memorized_patients"].value == 3.0
    assert metrics["memorized_rate"].value == 1.0
    assert metrics["train_share"].value == 1.0
    assert all(metrics[name].high == (3.0 if name == "memorized_patients" else 1.0) for name in NULLS)


def test_every_image_ten_times_is_one_image() -> None:
    train, content = np.repeat(["a", "b"], 10), np.repeat([0, 1], 10)
    # the best match is the first of the ten twins
    decisions = _decisions([1.0, 1.0], [0.1, 0.1], index=[0, 10])
    plain = rates_of(decisions, Pools(train, np.array(["c", "d"])))
    twins = rates_of(decisions, Pools(train, np.array(["c", "d"]), train_content=content))
    assert plain["memorized_rate"].value == pytest.approx(0.1)
    assert twins["memorized_rate"].value == 1.0
    assert twins["copy_rate"].value == 1.0


def test_every_sample_a_copy_of_one_patient_is_one_patient() -> None:
    pools = Pools(np.array(["a", "b", "c"]), np.array(["d", "e", "f"]))
    metrics = rates_of(_decisions([0.99] * 50, [0.1] * 50), pools)
    assert metrics["copy_rate"].value == 1.0
    assert metrics["memorized_patients"].value == pytest.approx(1.0)
    assert metrics["memorized_rate"].value == pytest.approx(1 / 3)
    # one patient is one coin: the null cannot be excluded, however many samples repeat it
    assert metrics["copy_rate"].low is not None
    assert metrics["copy_rate"].low <= 0
    assert metrics["copy_rate"].p_value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("holdout", [["b"], ["b", "b", "c"]])
def test_one_sample_and_a_pool_of_one_patient(holdout: list[str]) -> None:
    for score in (0.5, 0.95):
        metrics = rates_of(_decisions([score], [0.4]), Pools(np.array(["a"]), np.array(holdout)))
        for metric in metrics.values():
            assert np.isfinite(metric.value)
        for name, null in NULLS.items():
            assert metrics[name].low <= null <= metrics[name].high  # type: ignore[operator]
        assert metrics["train_share"].value == 1.0
        assert metrics["copy_rate"].value == float(score == 0.95)


def test_ties_count_half_for_either_patient() -> None:
    pools = Pools(np.array(["a"]), np.array(["b"]))
    for score in (0.5, 0.95):
        metrics = rates_of(_decisions([score, score], [score, score]), pools)
        assert metrics["train_share"].value == 0.5
        assert metrics["copy_rate"].value == 0.0
        assert metrics["memorized_patients"].value == 0.0


def test_ties_between_the_pools_do_not_lean_to_train() -> None:
    pools = Pools(np.array([f"t{i}" for i in range(20)]), np.array([f"h{i}" for i in range(20)]))
    index = np.arange(20)
    same = np.ones(20, np.float32)
    metrics = rates_of(decide(same, index, same, index, 0.9), pools)
    assert metrics["copy_rate"].value == 0.0
    assert metrics["copy_rate"].p_value == 1.0


def test_unequal_pools_have_the_null_where_patients_are_hit_alike() -> None:
    pools = Pools(np.array([f"t{i}" for i in range(40)]), np.array([f"h{i}" for i in range(20)]))
    # every patient once: 40 samples match train, 20 match holdout
    to_train = np.concatenate([np.full(40, 0.95), np.full(20, 0.1)]).astype(np.float32)
    index = np.concatenate([np.arange(40), np.arange(20)])
    metrics = rates_of(decide(to_train, index, 1.05 - to_train, np.minimum(index, 19), 0.9), pools)
    for name, null in NULLS.items():
        assert metrics[name].value == pytest.approx(null), name
    assert metrics["copies_of_train"].null == pytest.approx(40 / 60)


def test_bad_input_is_refused() -> None:
    pools = Pools(np.array(["a"]), np.array(["b"]))
    with pytest.raises(DataError, match="no samples"):
        rates_of(_decisions([], []), pools)
    with pytest.raises(DataError, match="without holdout"):
        rates_of(_decisions([0.5], [0.1]), Pools(np.array(["a"]), np.array([], dtype=str)))
    with pytest.raises(DataError, match='"a" stands in train and in holdout'):
        rates_of(_decisions([0.5], [0.1]), Pools(np.array(["a"]), np.array(["a", "b"])))


def test_the_tally_sums_what_the_decisions_say() -> None:
    pools = Pools(np.array(["a", "a", "b"]), np.array(["c"]))
    decisions = decide(
        np.array([0.95, 0.95, 0.95, 0.2], np.float32),
        np.array([0, 0, 1, 2]),
        np.array([0.1, 0.1, 0.1, 0.97], np.float32),
        np.zeros(4, np.int64),
        0.9,
    )
    count = tally(decisions, pools)
    assert count.samples.tolist() == [3, 0, 1]
    assert count.copies.tolist() == [3, 0, 1]
    assert count.images_hit.tolist() == [2, 0, 1]
    assert count.single_images.tolist() == [1, 0, 1]
    assert count.images.tolist() == [2, 1, 1]


def test_false_discovery_rate_counts_decoys() -> None:
    pools = Pools(np.array(["a", "b", "c", "d"]), np.array(["e", "f", "g", "h"]))
    both = np.arange(4)
    found = decide(
        np.array([0.95, 0.95, 0.95, 0.1], np.float32), both, np.array([0.1, 0.1, 0.1, 0.96], np.float32), both, 0.9
    )
    assert rates_of(found, pools)["false_discovery_rate"].value == pytest.approx(2 / 3)
    assert rates_of(_decisions([0.1], [0.2]), pools)["false_discovery_rate"].value == 1.0
    assert false_discovery_rate(40, 1, ratio=2.0) == pytest.approx(0.1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_an_interval_excludes_the_null_only_if_the_exact_test_does(scenario: Scenario) -> None:
    for seed in range(8):
        drawn = draw(scenario, seed)
        metrics = rates_of(drawn.decisions, drawn.pools, seed=seed, draws=199)
        for name, null in NULLS.items():
            low, high, p = metrics[name].low, metrics[name].high, metrics[name].p_value
            assert low is not None
            assert high is not None
            assert p is not None
            assert low <= metrics[name].value <= high
            assert low <= null or p <= 0.025


@pytest.mark.parametrize("planted", [0.05, 0.2, 0.5, 1.0])
def test_planted_share_is_estimated_without_bias(planted: float) -> None:
    estimates = []
    for seed in range(20):
        drawn = draw(Scenario("planted", planted=planted), seed)
        metric = rates_of(drawn.decisions, drawn.pools, seed=seed, draws=199)["copy_rate"]
        estimates.append(metric.value)
        assert metric.p_value is not None
        assert metric.p_value < (0.05 if planted >= 0.2 else 1.0)
    assert np.mean(estimates) == pytest.approx(planted, abs=0.02)
