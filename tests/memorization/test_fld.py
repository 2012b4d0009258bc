from __future__ import annotations

import math

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.fld import FLOOR, Mixture, fit_variances, fld_gap
from scipy.optimize import minimize
from scipy.special import logsumexp


def test_one_gaussian_worked_out() -> None:
    # Images at distance 1 from the only centre fix the variance at 1 (in units of train); per image
    # nll(train) = c + 1/2 and nll(test) = c + 4/2.
    assert fld_gap([[0.0]], [[-1.0], [1.0]], [[-2.0], [2.0]]) == pytest.approx(150)
    # D = 2: variance 2 / 2, nll per dimension c + 2/2/2 and c + 8/2/2; the scale of a dimension does not matter
    train, test = np.array([[1.0, 30.0], [-1.0, -30.0]]), np.array([[2.0, 60.0], [-2.0, -60.0]])
    assert fld_gap([[0.0, 0.0]], train, test) == pytest.approx(150)


def test_two_gaussians_worked_out() -> None:
    # each centre has its own images, at distances 1 and 3: variances 1 and 9, test at twice that
    generated, train = [[0.0], [1000.0]], [[-1.0], [1.0], [997.0], [1003.0]]
    test = np.array([[-2.0], [2.0], [994.0], [1006.0]])
    mixture = Mixture.prepare(generated, train, test)
    scale = test.std(ddof=1)
    of_train, of_test = mixture.likelihoods(np.arange(2))
    constant = math.log(2) + 0.5 * np.log(2 * math.pi * np.array([1, 1, 9, 9]) / scale**2)
    assert of_train == pytest.approx(constant + 0.5, rel=1e-4)
    assert of_test == pytest.approx(constant + 2, rel=1e-4)


def test_the_fit_is_a_maximum_that_an_optimizer_cannot_better() -> None:
    rng = np.random.default_rng(0)
    dimension = 3
    centres, images = rng.normal(size=(12, dimension)), rng.normal(size=(60, dimension))
    squared = np.square(images[:, None] - centres[None]).sum(axis=2)
    base = -0.5 * dimension * np.log(2 * np.pi) - 0.5 * np.square(images).sum(axis=1)

    def negative(log_variances: np.ndarray) -> float:
        density = -0.5 * squared / np.exp(log_variances) - 0.5 * dimension * (np.log(2 * np.pi) + log_variances)
        return -float(np.logaddexp(base, logsumexp(density, axis=1) - np.log(12)).mean())

    found = fit_variances(squared, base, dimension)
    start = np.log(squared.min(axis=0) / dimension)
    best = minimize(negative, np.log(found), method="L-BFGS-B")
    assert negative(np.log(found)) <= best.fun + 1e-5
    assert best.x == pytest.approx(np.log(found), abs=0.05)
    assert negative(np.log(found)) < negative(start)


def _gap(planted: float, seed: int, dimension: int = 32) -> float:
    rng = np.random.default_rng(seed)
    generated, train, test = (rng.normal(size=(100, dimension)) for _ in range(3))
    copies = round(planted * 100)
    generated[:copies] = train[:copies] + 0.05 * rng.normal(size=(copies, dimension))
    return fld_gap(generated, train, test)


def test_grows_with_the_share_of_copies() -> None:
    means = [np.mean([_gap(planted, seed) for seed in range(3)]) for planted in (0, 0.02, 0.1, 0.3, 0.8, 1)]
    assert abs(means[0]) < 2
    assert (np.diff(means) > 2).all()


def test_affine_changes_and_constant_dimensions_change_nothing() -> None:
    rng = np.random.default_rng(5)
    sets = [rng.normal(size=(50, 4)) for _ in range(3)]
    moved = [np.hstack([rows * [1, 10, 0.1, 3] + 1e5, np.full((50, 1), 0.3)]) for rows in sets]
    assert fld_gap(*moved) == pytest.approx(fld_gap(*sets), rel=1e-3, abs=1e-3)


def test_exact_copies_and_duplicates_have_a_finite_value() -> None:
    rng = np.random.default_rng(6)
    train, test = rng.normal(size=(40, 300)), rng.normal(size=(40, 300))  # N < D
    assert np.isfinite(fld_gap(train, train, test))
    assert fld_gap(train, train, test) > 1e4
    assert fld_gap(np.repeat(train, 10, axis=0), train, test) > 1e4
    assert abs(fld_gap(train[:1] * 0, train, test)) < 5
    assert fit_variances(np.zeros((3, 2)), np.zeros(3), 4).tolist() == [FLOOR, FLOOR]


def test_far_generated_images_have_a_finite_value() -> None:
    rng = np.random.default_rng(7)
    train, test = rng.normal(size=(60, 8)), rng.normal(size=(60, 8))
    assert abs(fld_gap(rng.normal(size=(60, 8)) + 50, train, test)) < 20


def test_what_cannot_be_measured_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(DataError, match="1 test image"):
        fld_gap(x, x, x[:1])
    with pytest.raises(DataError, match="same features"):
        fld_gap(x, x, np.full((9, 2), 0.1))
    with pytest.raises(DataError, match="0 generated"):
        fld_gap(x[:0], x, x)
    with pytest.raises(DataError, match="NaN"):
        fld_gap(x * np.nan, x, x)
