from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.l2_ratio import calibrated_threshold, l2_ratio

TRAIN = np.array([[0.0], [2.0], [6.0], [100.0]])


def test_the_definition_on_a_line() -> None:
    # from 1: distances 1, 1, 5 -> 1 / (0.5 * 7/3); from 5: 1, 3, 5 -> 1 / (0.5 * 3); from 6: 0
    ratios, index = l2_ratio([[1.0], [5.0], [6.0]], TRAIN, neighbours=3)
    assert ratios == pytest.approx([6 / 7, 2 / 3, 0])
    assert index.tolist() == [0, 2, 2]
    assert l2_ratio([[5.0]], TRAIN, neighbours=3, alpha=1)[0] == pytest.approx([1 / 3])


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_duplicates_change_nothing(mean: float) -> None:
    queries = np.array([[1.0], [5.0], [6.0]]) + mean
    ratios, index = l2_ratio(queries, np.repeat(TRAIN, 10, axis=0) + mean, neighbours=3)
    assert ratios == pytest.approx([6 / 7, 2 / 3, 0])
    assert index.tolist() == [0, 20, 20]


def test_copies_are_far_below_and_all_is_within_the_bounds() -> None:
    rng = np.random.default_rng(0)
    train, fresh = rng.normal(size=(200, 32)), rng.normal(size=(300, 32))
    ratios = l2_ratio(np.concatenate([fresh, train + 0.01]), train)[0]
    assert ((ratios >= 0) & (ratios <= 2)).all()
    assert ratios[300:].max() < 0.1 < ratios[:300].min()


def test_threshold_is_an_order_statistic() -> None:
    fresh = np.arange(1, 2000.0)[::-1]
    assert calibrated_threshold(fresh) == (2.0, 0.001)  # 2 of 2000
    assert calibrated_threshold(fresh[:999], level=0.001)[1] == 0.001
    assert calibrated_threshold(np.array([3.0, 2.0]), level=0.001) == (2.0, 1 / 3)


@pytest.mark.parametrize(("count", "expected"), [(9, 0.1), (49, 0.04), (199, 0.05)])
def test_threshold_keeps_its_level(count: int, expected: float) -> None:
    rng = np.random.default_rng(count)
    below, level = [], 0.0
    for _ in range(2000):
        threshold, level = calibrated_threshold(rng.normal(size=count), level=0.05)
        below.append((rng.normal(size=20) < threshold).mean())
    assert np.mean(below) == pytest.approx(level, abs=4 * np.std(below) / 2000**0.5)
    assert level == pytest.approx(expected)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="50 nearest training images are asked for and 4"):
        l2_ratio(TRAIN, TRAIN)
    with pytest.raises(DataError, match="1 are different"):
        l2_ratio(TRAIN, np.ones((60, 1)), neighbours=2)
    with pytest.raises(ValueError, match="neighbours = 1"):
        l2_ratio(TRAIN, TRAIN, neighbours=1)
    with pytest.raises(DataError, match="no fresh images"):
        calibrated_threshold(np.empty(0))
