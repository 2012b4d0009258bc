from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.calibration.scenarios import Scenario, draw
from memobench.memorization.calls import calls_csv, discovery_words, expected_false, sample_p_values, single_calls
from memobench.memorization.decide import decide
from memobench.memorization.rates import Pools, tally


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("few", planted=0.02, samples=1000),
        Scenario("many", planted=0.2, samples=1000),
        Scenario("blurry", planted=0.05, spread=0.6, samples=1000),
        Scenario("unequal", planted=0.05, spread=0.6, train=150, holdout=75, samples=1000),
        Scenario("none", spread=0.5, samples=1000),
    ],
    ids=lambda scenario: scenario.name,
)
def test_realized_false_discoveries_agree_with_the_estimate(scenario: Scenario) -> None:
    expected, bound, realized = [], [], []
    for seed in range(30):
        drawn = draw(scenario, seed)
        calls = single_calls(
            drawn.decisions,
            tally(drawn.decisions, drawn.pools),
            drawn.train_holdout.max(axis=0),
            drawn.pools.holdout,
            0.5,
        )
        listed = np.unique(calls.patient[calls.called])
        right = drawn.source >= 0
        right[right] = drawn.pools.train[drawn.source[right]] == calls.patient[right]
        false = len(listed) - len(np.unique(calls.patient[calls.called & right]))
        assert calls.patients == len(listed)
        sides = int(drawn.pools.in_train.sum()), int((~drawn.pools.in_train).sum())
        expected.append(expected_false(calls.patients, calls.decoys, *sides))
        bound.append(calls.false_discovery_rate)
        realized.append((false, false / max(len(listed), 1)))
    counts, shares = np.array(realized).T
    error = 2.5 * np.sqrt((counts.var() + np.var(expected)) / 30) + 0.1
    assert np.mean(expected) == pytest.approx(counts.mean(), abs=error)
    assert shares.mean() <= np.mean(bound)


def test_p_values_of_new_patients_are_valid_and_nearly_uniform() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60).astype(str), 3)
    values = []
    for _ in range(300):
        level = rng.normal(size=61)  # a patient's images are alike
        scores = np.repeat(level[:60], 3) + 0.2 * rng.normal(size=180)
        values.append(sample_p_values(level[60:] + 0.2 * rng.normal(size=1), scores, patients)[0])
    assert np.mean(np.array(values) <= 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)


def test_each_patient_weighs_one() -> None:
    scores, patients = np.array([0.9] * 99 + [0.1]), np.array(["a"] * 99 + ["b"])
    assert sample_p_values(np.array([0.5]), scores, patients)[0] == pytest.approx(2 / 3)
    assert sample_p_values(np.array([0.9, 0.91]), scores, patients).tolist() == pytest.approx([2 / 3, 1 / 3])
    with pytest.raises(DataError, match="one score for each"):
        sample_p_values(np.array([0.5]), scores[:3], patients)


def test_a_train_larger_than_what_null_images_met_has_larger_p_values() -> None:
    """Else a new patient's image, with three times as many chances to match well, would look surprising."""
    rng = np.random.default_rng(1)
    values = []
    for _ in range(2000):
        null = rng.normal(size=(200, 50)).max(axis=1)  # each met 50 images
        sample = rng.normal(size=(1, 150)).max(axis=1)  # train has 150
        values.append(sample_p_values(sample, null, np.arange(200).astype(str), times=3.0)[0])
    for level in (0.02, 0.05, 0.2):
        assert np.mean(np.array(values) <= level) <= level + 2 * (level / 2000) ** 0.5
    assert np.mean(np.array(values) <= 0.05) > 0.03  # and nothing is given away


def test_a_sample_without_a_match_in_train_is_no_surprise_and_has_no_image() -> None:
    pools = Pools(np.array(["a", "b"]), np.array(["c", "d"]))
    nothing = np.float32(-np.inf)
    decisions = decide(
        np.array([nothing, 6.0], np.float32), np.array([0, 1]), np.array([5.5, nothing]), np.array([1, 0]), 5.0
    )
    calls = single_calls(decisions, tally(decisions, pools), np.array([4.0, 3.0]), pools.holdout, 0.5)
    assert calls.called.tolist() == [False, True]
    assert (calls.patients, calls.decoys) == (1, 1)
    assert calls.p_value.tolist() == pytest.approx([1, 1 / 3])
    rows = list(csv.DictReader(io.StringIO(calls_csv(calls))))
    assert (rows[1]["sample"], rows[1]["score"], rows[1]["patient"], rows[1]["training_image"]) == ("0", "", "", "")


def test_a_call_that_holdout_matches_better_is_no_copy() -> None:
    pools = Pools(np.array(["a", "b"]), np.array(["c", "d"]))
    decisions = decide(
        np.array([0.95, 0.95, 0.5], np.float32),
        np.array([0, 1, 1]),
        np.array([0.1, 0.97, 0.4], np.float32),
        np.array([0, 1, 1]),
        0.9,
    )
    calls = single_calls(decisions, tally(decisions, pools), np.array([0.3, 0.4]), pools.holdout, 0.5)
    assert calls.called.tolist() == [True, False, False]
    assert (calls.patients, calls.decoys, calls.false_discovery_rate) == (1, 1, 1.0)
    assert calls.patient.tolist() == ["a", "b", "b"]
    assert "cannot fall below 5%" in calls.words


def test_the_list_puts_the_strongest_match_first_and_says_who_it_is() -> None:
    pools = Pools(np.array(["a, the first", "b"]), np.array(["c", "d"]))
    decisions = decide(
        np.array([3.5, 7.25, -2.0], np.float32), np.array([0, 1, 1]), np.zeros(3, np.float32), np.array([0, 1, 1]), 5.0
    )
    rows = list(
        csv.DictReader(
            io.StringIO(
                calls_csv(single_calls(decisions, tally(decisions, pools), np.array([4.0, 3.0]), pools.holdout, 0.5))
            )
        )
    )
    assert [row["sample"] for row in rows] == ["1", "0", "2"]
    assert [row["called"] for row in rows] == ["copy", "", ""]
    assert [row["patient"] for row in rows] == ["b", "a, the first", "b"]
    assert [row["training_image"] for row in rows] == ["1", "0", "1"]
    assert [float(row["score"]) for row in rows] == [7.25, 3.5, -2.0]
    assert [float(row["p_value"]) for row in rows] == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-4)


def test_words() -> None:
    assert discovery_words(0, 3) == "no training patient is on the list"
    assert "1 training patient is" in discovery_words(1, 0)
    assert "cannot" not in discovery_words(20, 0)
    assert "fewer than 40" in discovery_words(30, 0, ratio=2.0)


def test_expected_false_stays_possible() -> None:
    assert expected_false(5, 10, 10, 10) == 5
    assert expected_false(10, 3, 10, 10) == 0
    assert expected_false(0, 3, 10, 10) == 0
