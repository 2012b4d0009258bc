from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.reidentification import matches_needed, reidentification

# a has two scans, the first of two slices; b and c have one each
PATIENTS, SCANS = np.array(["a", "a", "a", "b", "c"]), np.array(["1", "1", "2", "1", "1"])


def test_worked_out() -> None:
    index = np.array(
        [
            [0, 1, 2],  # scan 1 of a; without it the best is scan 2 of a: found
            [1, 3, 2],  # the best of the rest is b: not found
            [2, 3, 0],  # scan 2 of a; the best of the rest is b: not found
            [3, 0, 1],  # b has no other scan: does not count
            [0, 2, 1],  # not called
        ]
    )
    metric = reidentification(index, np.array([True, True, True, True, False]), PATIENTS, SCANS)
    assert metric is not None
    assert metric.value == pytest.approx(1 / 3)
    # chance: without scan 1, one of three is a's; without scan 2, two of four
    assert metric.null == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < metric.value < metric.high
    assert metric.note == "3 copies of 1 patients with another scan"


def test_equal_scan_names_of_two_patients_are_two_scans() -> None:
    metric = reidentification(np.array([[2, 0, 1]]), np.array([True]), PATIENTS, np.array(["1", "1", "2", "2", "2"]))
    assert metric is not None
    assert metric.value == 1.0


def test_nothing_to_find_is_none() -> None:
    assert reidentification(np.array([[3, 0, 1]]), np.array([True]), PATIENTS, SCANS) is None
    assert reidentification(np.array([[0, 1, 2]]), np.array([False]), PATIENTS, SCANS) is None


def test_too_few_matches_are_refused() -> None:
    assert matches_needed(PATIENTS, SCANS) == 3
    with pytest.raises(DataError, match="ask for 3"):
        reidentification(np.array([[0, 1]]), np.array([True]), PATIENTS, SCANS)
    with pytest.raises(DataError, match="1 patients of 5 pool"):
        reidentification(np.array([[0, 1]]), np.array([True]), PATIENTS, SCANS[:1])
    with pytest.raises(DataError, match="empty"):
        matches_needed(PATIENTS[:0], SCANS[:0])


@pytest.mark.parametrize("strength", [0.0, 5.0])
def test_chance_level_and_power(strength: float) -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 3).astype(str)
    scans = np.tile(np.arange(3), 40).astype(str)
    images = strength * rng.normal(size=(40, 6))[patients.astype(int)] + rng.normal(size=(120, 6))
    source = rng.integers(120, size=300)
    samples = images[source] + 0.01 * rng.normal(size=(300, 6))
    order = np.argsort(((samples[:, None] - images[None]) ** 2).sum(axis=2), axis=1)[
        :, : matches_needed(patients, scans)
    ]
    metric = reidentification(order, np.ones(300, dtype=bool), patients, scans)
    assert metric is not None
    assert metric.null == pytest.approx(2 / 119)
    assert metric.low is not None
    if strength:
        assert metric.low > 0.8
    else:
        assert metric.low <= metric.null
