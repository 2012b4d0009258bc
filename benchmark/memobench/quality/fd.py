"""The Frechet distance between two sets of features, each seen as a Gaussian."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.errors import DataError
from memobench.neighbours import as_points, same_dimension


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


def _factor(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(min(N, D), D) A with A^T A the covariance."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else np.asarray(centred)
