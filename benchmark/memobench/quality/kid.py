"""The kernel distance between two sets of features: an unbiased squared maximum mean discrepancy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.errors import DataError
from memobench.neighbours import BLOCK, as_points, same_dimension


def kernel_distance(x: ArrayLike, y: ArrayLike, *, block: int = BLOCK) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, from all pairs.

    Gretton et al. 2012, eq. 3 (unequal set sizes allowed), with the kernel of Binkowski et al. 2018, section 4, where
    it is called KID on Inception's features. Usual code averages it over random subsets; the sum over all pairs has
    the same expectation, less variance and no seed. Unbiased means that it is negative about as often as positive
    between two sets of one distribution: it is not clipped.

    Args:
        x: (N, D) features, N >= 2.
        y: (M, D) features, M >= 2.
        block: Rows per block; memory is O((N + M) D + block^2).

    Raises:
        DataError: Fewer than two rows, dimensions that differ, NaN or infinite values.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 4)), rng.normal(size=(200, 4))
    >>> abs(kernel_distance(x, y)) < 0.05 < kernel_distance(x, y + 1)
    True
    """
    first, second = as_points(x), as_points(y)
    same_dimension(first, second)
    for rows in (first, second):
        if len(rows) < 2:
            raise DataError(f"a kernel distance needs two images at least, not {len(rows)}")
    between = _kernel_sum(first, second, block) / (len(first) * len(second))
    return _mean_within(first, block) + _mean_within(second, block) - 2 * between


def _mean_within(rows: NDArray[np.float64], block: int) -> float:
    """The kernel's mean over ordered pairs of different rows."""
    own = float(np.sum((np.einsum("ij,ij->i", rows, rows) / rows.shape[1] + 1) ** 3))
    return (_kernel_sum(rows, rows, block) - own) / (len(rows) * (len(rows) - 1))


def _kernel_sum(first: NDArray[np.float64], second: NDArray[np.float64], block: int) -> float:
    total = 0.0
    for start in range(0, len(first), block):
        for other in range(0, len(second), block):
            kernel = first[start : start + block] @ second[other : other + block].T
            kernel /= first.shape[1]
            kernel += 1
            total += float(np.sum(kernel * kernel * kernel))
    return total
