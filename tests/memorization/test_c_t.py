from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.c_t import c_t, cell_distances, mann_whitney_z
from scipy import stats


@pytest.mark.parametrize("levels", [3, 10, 10_000])
@pytest.mark.parametrize(("n", "m"), [(1, 40), (25, 40), (200, 7)])
def test_z_agrees_with_scipy(levels: int, n: int, m: int) -> None:
    rng = np.random.default_rng(levels + n)
    first, second = rng.integers(levels, size=n) / levels, rng.integers(levels, size=m) / levels + 0.1
    second[: m // 2] = np.resize(first, m // 2)  # ties between the samples
    z = mann_whitney_z(first, second)
    expected = stats.mannwhitneyu(
        first, second, alternative="greater", method="asymptotic", use_continuity=False
    ).pvalue
    assert stats.norm.sf(z) == pytest.approx(expected, rel=1e-9)


def test_z_worked_out() -> None:
    # no pair of 4 in which the first is larger: (0 - 2) / sqrt(2 * 2 * 5 / 12)
    assert mann_whitney_z(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == pytest.approx(-2 / (20 / 12) ** 0.5)
    # a tie of two among three values: U = 0.5 + 1, variance 2 * 1 / 12 * (4 - 6 / 6)
    assert mann_whitney_z(np.array([1.0, 2.0]), np.array([1.0])) == pytest.approx(0.5 / (0.5) ** 0.5)
    assert mann_whitney_z(np.ones(4), np.ones(5)) == 0.0
    with pytest.raises(DataError, match="0 and 2 values"):
        mann_whitney_z(np.empty(0), np.ones(2))


TRAIN = np.array([[0.0], [1.0], [100.0], [101.0]])
LEFT, RIGHT = -2 / (20 / 12) ** 0.5, 1 / (8 / 12) ** 0.5


def test_the_definition_in_two_cells() -> None:
    # left: generated 1 and 2 away, test 3 and 4 away; right: generated 2 and 3 away, test 1 away
    generated, test = [[-1.0], [-2.0], [103.0], [104.0]], [[-3.0], [-4.0], [102.0]]
    assert c_t(generated, TRAIN, test, cells=2, least=2) == pytest.approx((2 * LEFT + RIGHT) / 3)
    # a cell with too few generated images does not count
    assert c_t(generated[:3], TRAIN, test, cells=2, least=2) == pytest.approx(LEFT)
    # nor one without test images
    assert c_t(generated, TRAIN, test[:2], cells=2, least=2) == pytest.approx(LEFT)
    with pytest.raises(DataError, match="no cell holds"):
        c_t(generated, TRAIN, test, cells=2, least=3)
    # globally: distances 1, 2, 2, 3 against 3, 4, 1
    expected = mann_whitney_z(np.array([1.0, 2.0, 2.0, 3.0]), np.array([3.0, 4.0, 1.0]))
    assert c_t(generated, TRAIN, test, cells=1, least=1) == pytest.approx(expected)


def test_extreme_means_and_duplicates_change_nothing() -> None:
    generated, test = np.array([[-1.0], [-2.0], [103.0], [104.0]]), np.array([[-3.0], [-4.0], [102.0]])
    expected = (2 * LEFT + RIGHT) / 3
    assert c_t(generated + 1e7, TRAIN + 1e7, test + 1e7, cells=2, least=2) == pytest.approx(expected)
    assert c_t(generated, np.repeat(TRAIN, 10, axis=0), test, cells=2, least=2) == pytest.approx(expected)


def test_centre_and_spread_without_memorization() -> None:
    values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        generated, train, test = (rng.normal(size=(120, 4)) for _ in range(3))
        values.append(c_t(generated, train, test, cells=1, seed=seed))
    assert abs(np.mean(values)) < 3 * np.std(values) / 60**0.5
    assert 0.7 < np.std(values) < 1.3


def test_copies_are_negative_and_strangers_positive() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(100, 4)), rng.normal(size=(100, 4))
    assert c_t(train, train, test) < -5
    assert c_t(3 * rng.normal(size=(100, 4)), train, test, cells=1) > 5


def test_same_seed_same_value() -> None:
    rng = np.random.default_rng(3)
    sets = [rng.normal(size=(90, 5)) for _ in range(3)]
    assert c_t(*sets, seed=4) == c_t(*sets, seed=4)
    found = cell_distances(*sets, seed=4)
    assert found.of_all() == c_t(*sets, seed=4)


def test_what_cannot_be_measured_is_refused() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    with pytest.raises(DataError, match="1 different training images make no 3 cells"):
        c_t(x, np.ones((30, 2)), x)
    with pytest.raises(DataError, match="dimensions"):
        c_t(x, x, np.ones((30, 3)))
    with pytest.raises(DataError, match="no cell holds"):
        c_t(x[:1], x, x)
    with pytest.raises(ValueError, match="cells = 0"):
        c_t(x, x, x, cells=0)
