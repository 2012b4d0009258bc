"""The Frechet distance between two sets of features, each seen as a Gaussian."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.base.seeds import generator_for
from memobench.neighbours.nearest import as_points, same_dimension


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """The squared Frechet (2-Wasserstein) distance of the Gaussians with the means and covariances of two sets.

    |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) (Dowson & Landau 1982, eq. 16; Heusel et al. 2017, eq. 6),
    called FID where the features are Inception's. With S_x = A^T A and S_y = B^T B the trace of the root is the sum of
    the singular values of A B^T, the roots of the eigenvalues of the symmetric S_x^(1/2) S_y S_x^(1/2). In this form
    nothing is squared that is rooted again, no matrix root is taken, and fewer rows than dimensions do no harm.
    Covariances are the unbiased ones (N - 1).

    Args:
        x: (N, D) features, N >= 2.
        y: (M, D) features, M >= 2.

    Returns:
        The distance, >= 0. It is biased upwards by about 1 / N + 1 / M: compare it at equal numbers of images.

    Raises:
        DataError: Fewer than two rows, dimensions that differ, NaN or infinite values.

    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(frechet_distance(x, x + 2), 6), round(frechet_distance(x, x), 6)
    (12.0, 0.0)
    """
    first, second = as_points(x), as_points(y)
    same_dimension(first, second)
    for rows in (first, second):
        if len(rows) < 2:
            raise DataError(f"a Frechet distance needs two images at least, not {len(rows)}")
    factor_x, factor_y = _factor(first), _factor(second)
    shift = first.mean(axis=0) - second.mean(axis=0)
    overlap = np.linalg.svd(factor_x @ factor_y.T, compute_uv=False).sum()
    distance = shift @ shift + np.sum(factor_x**2) + np.sum(factor_y**2) - 2 * overlap
    return max(0.0, float(distance))


def frechet_infinity(x: ArrayLike, y: ArrayLike, *, points: int = 15, seed: int) -> float:
    """The Frechet distance that endless sets would have, extrapolated from shares of the sets at hand.

    Chong & Forsyth 2020, section 4: the distance is linear in 1 / N, so a line through the distances of random subsets
    has the distance without bias as its intercept. The paper shrinks the generated set alone; here both sets shrink by
    the same shares, from the whole to half, evenly spaced in 1 / share, which removes the bias of both.

    Args:
        x: (N, D) features.
        y: (M, D) features.
        points: Subset sizes, at least 2.
        seed: Seed of the subsets.

    Returns:
        The intercept. Being unbiased it may be slightly negative for sets of one distribution.

    Raises:
        DataError: Half of a set has no more than D rows, where the law is not linear, or as for the distance.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(400, 40)), rng.normal(size=(300, 40))
    >>> frechet_distance(x, y) > 2 and abs(frechet_infinity(x, y, seed=0)) < 0.5
    True
    """
    first, second = as_points(x), as_points(y)
    same_dimension(first, second)
    smallest, needed = min(len(first), len(second)), extrapolation_needs(first.shape[1])
    if smallest < needed:
        raise DataError(
            f"{smallest} images are too few to extrapolate a Frechet distance in {first.shape[1]} dimensions; "
            f"give {needed} at least"
        )
    if points < 2:
        raise ValueError(f"a line needs two points at least, not {points}")
    rng = generator_for(seed, "frechet infinity")
    inverse_share = np.linspace(1, 2, points)
    distances = []
    for inverse in inverse_share:
        parts = [rows[rng.permutation(len(rows))[: round(len(rows) / inverse)]] for rows in (first, second)]
        distances.append(frechet_distance(*parts))
    slope = float(np.polyfit(inverse_share, distances, 1)[0])
    return float(np.mean(distances)) - slope * float(inverse_share.mean())


def extrapolation_needs(dimensions: int) -> int:
    """The images that each set needs for :func:`frechet_infinity`: half of them must outnumber the dimensions.

    Below that a sample covariance is singular and the distance no longer linear in 1 / N. Simulated with 256 images in
    250 dimensions, the line leaves a tenth to a third of the bias; with 600 none.

    >>> extrapolation_needs(250)
    502
    """
    return 2 * dimensions + 2


def _factor(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(min(N, D), D) A with A^T A the covariance."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else np.asarray(centred)
