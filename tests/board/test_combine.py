from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.board.combine import Number, combine
from memobench.results import Metric


def _seeds(values: np.ndarray, error: float) -> list[Metric]:
    return [Metric(value=v, low=v - 1.96 * error, high=v + 1.96 * error, better="lower") for v in values.tolist()]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("patients", "training"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.2)])
def test_intervals_cover_the_truth_in_simulations(seeds: int, patients: float, training: float) -> None:
    """Seeds share their patients' error; each trains anew: the truth is 0 and the interval must hold it."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        values = patients * rng.normal() + training * rng.normal(size=seeds)
        found = combine(_seeds(values, patients))
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(covered) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 2000)


def test_more_seeds_do_not_make_the_patients_more() -> None:
    one = Metric(value=0.2, low=0.1, high=0.4, better="lower")
    many = combine([one] * 10)
    assert (many.low, many.high) == (0.1, 0.4)  # skewed as it was


def test_a_planted_difference_between_seeds_widens_the_interval() -> None:
    alike = combine(_seeds(np.array([1.0, 1.0, 1.0]), 0.1))
    apart = combine(_seeds(np.array([0.5, 1.0, 1.5]), 0.1))
    assert apart.value == alike.value
    assert apart.high is not None
    assert alike.high is not None
    # by hand: 4.302653 * 0.5 / sqrt(3), in squares with 0.196
    assert apart.high - apart.value == pytest.approx(np.hypot(0.196, 4.302653 * 0.5 / np.sqrt(3)), rel=1e-5)
    assert alike.high - alike.value == pytest.approx(0.196)


def test_no_interval_leaves_the_range_and_the_null_is_averaged() -> None:
    metrics = [Metric(value=v, low=0.0, high=1.0, null=n, better="lower") for v, n in ((0.0, 0.1), (1.0, 0.3))]
    found = combine(metrics, lowest=0.0, highest=1.0)
    assert (found.low, found.high, found.null) == (0.0, 1.0, 0.2)


def test_p_values_are_multiplied_by_their_number() -> None:
    metrics = [Metric(value=0.0, better="lower", p_value=p) for p in (0.5, 0.01, 0.9)]
    assert combine(metrics).p_value == 0.03
    assert combine(metrics[:1] * 3).p_value == 1.0


def test_dependent_p_values_of_nothing_are_rarely_small() -> None:
    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 3))
    from scipy.stats import norm

    p_values = norm.sf(np.sqrt(0.8) * shared + np.sqrt(0.2) * own)
    small = [
        (combine([Metric(value=0.0, better="lower", p_value=p) for p in row]).p_value or 0) < 0.05
        for row in p_values.tolist()
    ]
    assert np.mean(small) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 4000)


def test_what_one_seed_lacks_the_row_lacks() -> None:
    whole = Metric(value=0.0, low=-1.0, high=1.0, null=0.0, better="lower", p_value=0.5)
    bare = Metric(value=0.0, better="lower")
    assert combine([whole, bare]) == Number(0.0, None, None, None, "lower", None)


def test_no_seed_is_an_error() -> None:
    with pytest.raises(DataError, match="no seed"):
        combine([])
