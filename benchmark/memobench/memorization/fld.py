"""The generalization gap of the feature likelihood divergence: is train likelier than test around generated images?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from memobench.base.errors import DataError
from memobench.memorization._points import both
from memobench.neighbours.nearest import as_points, same_dimension

ROUNDS = 200
TOLERANCE = 1e-3  # on the logarithm of every variance
FLOOR = 1e-6  # of a variance, in standardized units: an exact copy would have none

Floats = NDArray[np.float64]


def fld_gap(generated: ArrayLike, train: ArrayLike, test: ArrayLike) -> float:
    """The generalization gap of FLD (Jiralerspong et al., Feature Likelihood Divergence, NeurIPS 2023, section 3).

    A mixture of N isotropic Gaussians of equal weight, one centred at each generated image, each with its own
    variance; the variances maximize the likelihood of train. With nll the mean negative log likelihood per dimension,

        gap = 100 * (nll(test) - nll(train)).

    Above 0: the generated images explain train better than other patients (memorization). The authors' code gives the
    opposite sign, train minus test. A generator of exact copies alone reaches very large values, since no Gaussian
    reaches test; the authors warn above 1000.

    As in the authors' code: features are standardized by test's mean and standard deviation; a base likelihood is added
    to that of each training image during the fit (not in the evaluation), so that an image without any generated image
    near it does not blow up a variance; variances start at the squared distance to the nearest training image over D.
    Differences: the base is a Gaussian at the mean of train with the variance of train (theirs is learned along, with
    images drawn a tenth nearer to the mean), the fit is by expectation maximization to convergence (theirs 50 steps of
    Adam), variances have the floor 1e-6, and dimensions in which test is constant are left out.

    Args:
        generated: (N, D) features.
        train: (M, D) features of the training images.
        test: (K, D) features of real images of other patients, K >= 2.

    Returns:
        The gap, in hundredths of a nat per dimension. Time and memory are O(N (M + K)).

    Raises:
        DataError: A set is too small, all of test is constant, dimensions differ, NaN or infinite values.

    >>> round(fld_gap([[0.0]], [[-1.0], [1.0]], [[-2.0], [2.0]]), 6)
    150.0
    """
    mixture = Mixture.prepare(generated, train, test)
    of_train, of_test = mixture.likelihoods(np.arange(mixture.train.shape[1]))
    return gap(of_train, of_test)


def gap(of_train: Floats, of_test: Floats) -> float:
    """The gap of two sets of negative log likelihoods per dimension."""
    return 100 * float(of_test.mean() - of_train.mean())


@dataclass(frozen=True)
class Mixture:
    """The mixture's centres as seen from train and test.

    Attributes:
        train: (M, N) squared distances of training images to generated images, standardized.
        test: (K, N) squared distances of test images.
        base: (M,) base log likelihood of each training image.
        dimension: Number of dimensions that vary.
    """

    train: Floats
    test: Floats
    base: Floats
    dimension: int

    @classmethod
    def prepare(cls, generated: ArrayLike, train: ArrayLike, test: ArrayLike) -> Mixture:
        """Standardize the features and measure the distances."""
        samples, real = both(generated, train)
        others = as_points(test, "features of test")
        same_dimension(others, real)
        if len(others) < 2:
            raise DataError(f"{len(others)} test image(s) have no standard deviation to scale by; give two at least")
        centre, scale = others.mean(axis=0), others.std(axis=0, ddof=1)
        varies = scale > 1e-12 * np.abs(others).max(axis=0)  # below that it is rounding
        if not varies.any():
            raise DataError("all test images have the same features; check the images and the features")
        samples, real, others = (
            ((rows - centre) / np.where(varies, scale, 1))[:, varies] for rows in (samples, real, others)
        )
        dimension = int(varies.sum())
        from_mean = np.square(real - real.mean(axis=0)).sum(axis=1)
        variance = max(float(from_mean.mean()) / dimension, FLOOR)
        base = _log_normal(from_mean, variance, dimension)
        return cls(_squared(real, samples), _squared(others, samples), base, dimension)

    def likelihoods(self, generated: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Negative log likelihood per dimension of train (M,) and test (K,) under the chosen generated images."""
        train, test = self.train[:, generated], self.test[:, generated]
        variances = fit_variances(train, self.base, self.dimension)
        return _negative(train, variances, self.dimension), _negative(test, variances, self.dimension)


def fit_variances(squared: Floats, base: Floats, dimension: int) -> Floats:
    """The variances that maximize sum_i log(base_i + 1/N sum_j Normal(x_i; g_j, v_j)), by expectation maximization.

    With r_ij the share of centre j in the likelihood of image i, each round sets
    v_j = sum_i r_ij |x_i - g_j|^2 / (D sum_i r_ij). Shares are kept as logarithms and normalized per centre, so that a
    centre that explains next to nothing still has a variance. A local maximum, reached from the nearest image.

    Args:
        squared: (M, N) squared distances of images to centres.
        base: (M,) base log likelihoods.
        dimension: D.

    Returns:
        (N,) variances, at least 1e-6.
    """
    variances: Floats = np.maximum(squared.min(axis=0) / dimension, FLOOR)
    for _ in range(ROUNDS):
        shares = _log_normal(squared, variances, dimension)
        total = logsumexp(shares, axis=1) - math.log(len(variances))
        shares -= np.logaddexp(total, base)[:, None]  # but for a constant
        shares -= shares.max(axis=0)
        np.exp(shares, out=shares)
        moved: Floats = np.einsum("ij,ij->j", shares, squared) / (dimension * shares.sum(axis=0))
        np.maximum(moved, FLOOR, out=moved)
        change = float(np.abs(np.log(moved / variances)).max())
        variances = moved
        if change < TOLERANCE:
            break
    return variances


def _negative(squared: Floats, variances: Floats, dimension: int) -> Floats:
    log_sum: Floats = logsumexp(_log_normal(squared, variances, dimension), axis=1)
    return (math.log(len(variances)) - log_sum) / dimension


def _log_normal(squared: Floats, variance: Floats | float, dimension: int) -> Floats:
    """Log density of an isotropic Gaussian at squared distances from its centre."""
    density = squared * (-0.5 / np.asarray(variance))
    density -= 0.5 * dimension * np.log(2 * math.pi * np.asarray(variance))
    return density


def _squared(rows: Floats, centres: Floats) -> Floats:
    """(M, N) squared distances; rounding, some 1e-15 of the squared norms, stays far below the floor."""
    product = rows @ centres.T
    product *= -2
    product += np.einsum("ij,ij->i", rows, rows)[:, None]
    product += np.einsum("ij,ij->i", centres, centres)[None, :]
    np.maximum(product, 0, out=product)
    return product
