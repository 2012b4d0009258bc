from __future__ import annotations

import numpy as np
import pytest
from memobench.calibration.scenarios import Scenario, draw
from memobench.memorization.decide import decide
from memobench.memorization.evidence import copy_evidence, evidence_test, strongest_matches
from memobench.memorization.rates import Pools
from scipy import stats


@pytest.mark.parametrize("patients", [100, 200])
def test_one_percent_of_a_thousand_samples_is_seen(patients: int) -> None:
    scenario = Scenario("planted", planted=0.01, samples=1000, train=patients, holdout=patients)
    seen = 0
    for seed in range(20):
        drawn = draw(scenario, seed)
        p_value = copy_evidence(drawn.decisions, drawn.pools, seed=seed, draws=499).p_value
        assert p_value is not None
        seen += p_value < 0.05
    assert seen >= 18


@pytest.mark.parametrize("train", [30, 45], ids=["equal", "unequal"])
def test_chance_is_seen_as_often_as_it_should(train: int) -> None:
    rng = np.random.default_rng(0)
    tests = []
    for seed in range(300):
        votes = np.round(rng.normal(size=60), 1)  # many ties
        votes[rng.random(60) < 0.3] = -np.inf
        tests.append(evidence_test(votes, rng.permutation(np.arange(60) < train), seed=seed, draws=199)[1])
    assert stats.kstest([test.fuzzy for test in tests], "uniform").pvalue > 0.01
    assert np.mean([test.more <= 0.05 for test in tests]) < 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


def test_a_patient_has_one_vote_and_a_tie_counts_for_both() -> None:
    pools = Pools(np.array(["a", "b"]), np.array(["c", "d"]))
    decisions = decide(
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([0, 0, 1]),
        np.array([0.1, 0.1, 0.7], np.float32),
        np.array([0, 0, 1]),
        0.5,
    )
    assert strongest_matches(decisions, pools).tolist() == pytest.approx([0.9, 0.7, -np.inf, 0.7])


def test_one_patient_who_is_copied_a_hundred_times_is_one_coin() -> None:
    pools = Pools(np.array(["a", "b"]), np.array(["c", "d"]))
    decisions = decide(np.ones(100, np.float32), np.zeros(100, int), np.zeros(100, np.float32), np.zeros(100, int), 0.5)
    metric = copy_evidence(decisions, pools)
    assert metric.p_value == pytest.approx(0.5, abs=0.03)
    assert metric.value > 0


def test_thousands_of_patients_do_not_overflow() -> None:
    value, test = evidence_test(np.arange(4000.0), np.arange(4000) >= 2000, draws=19)
    assert np.isfinite(value)
    assert test.more == pytest.approx(0.05)
