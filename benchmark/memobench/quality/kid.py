"""The kernel distance between two sets of features: an unbiased squared maximum mean discrepancy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from memobench.base.errors import DataError
from memobench.neighbours.distances import Floats
from memobench.neighbours.nearest import BLOCK, as_points, same_dimension


def kernel_distance(x: ArrayLike, y: ArrayLike, *, block: int = BLOCK) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, from all pairs.

    Gretton et al. 2012, eq. 3 (unequal set sizes allowed), with the kernel of Binkowski et al. 2018, section 4, where
    it is called KID on Inception's features. Usual code averages it over random subsets; the sum over all pairs has
    the same expectation, less variance and no seed. Unbiased means that it is negative about as often as positive
    between two sets of one distribution: it is not clipped. It is a sum over pairs of draws: a set in which every image
    stands ten times is taken at its word, as one that repeats itself.

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
    centre = np.concatenate([first, second]).mean(axis=0)
    between = _kernel_sum(first - centre, second - centre, centre, block) / (len(first) * len(second))
    within = [_mean_within(rows - centre, centre, block) for rows in (first, second)]
    return sum(within) - 2 * between


def _mean_within(rows: Floats, centre: Floats, block: int) -> float:
    """The kernel's mean over ordered pairs of different rows."""
    own = float(_kernel(np.einsum("ij,ij->i", rows, rows), 2 * (rows @ centre), centre).sum())
    return (_kernel_sum(rows, rows, centre, block) - own) / (len(rows) * (len(rows) - 1))


def _kernel_sum(first: Floats, second: Floats, centre: Floats, block: int) -> float:
    tilt_first, tilt_second = first @ centre, second @ centre
    total = 0.0
    for start in range(0, len(first), block):
        for other in range(0, len(second), block):
            rows, columns = slice(start, start + block), slice(other, other + block)
            tilt = tilt_first[rows, None] + tilt_second[None, columns]
            total += float(_kernel(first[rows] @ second[columns].T, tilt, centre).sum())
    return total


def _kernel(product: Floats, tilt: Floats, centre: Floats) -> Floats:
    """The kernel less all that cancels in the estimate.

    With x = c + a and y = c + b the kernel is (h + u)^3, h = c.c / D + 1 and u = (a.b + c.a + c.b) / D. Its terms h^3
    and 3 h^2 (c.a + c.b) / D are a constant and a sum of functions of either row: they cancel in the estimate, where
    they would drown the rest if the features' mean is large.

    Args:
        product: a.b.
        tilt: c.a + c.b, in the same shape.
        centre: (D,) c.
    """
    dimension = len(centre)
    height = float(centre @ centre) / dimension + 1
    bend = product / dimension
    step = bend + tilt / dimension
    kernel: Floats = 3 * height * height * bend + (3 * height + step) * step * step
    return kernel
