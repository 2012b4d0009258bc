"""C_T, the data-copying test: do generated images lie nearer to train than real images of other patients do?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from memobench.base.errors import DataError
from memobench.base.seeds import derive_seed
from memobench.memorization._points import both, different
from memobench.neighbours.nearest import as_points, nearest, same_dimension

CELLS = 3
LEAST = 20


def mann_whitney_z(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The standardized Mann-Whitney U of two samples: above 0 where the first tends to be larger.

    U counts the pairs in which the first is larger, ties half. Under the null its mean is n m / 2 and its variance,
    corrected for ties, n m / 12 * ((N + 1) - sum (t^3 - t) / (N (N - 1))), N = n + m (Mann & Whitney 1947; Lehmann
    1975). No continuity correction. Values that are all equal differ in nothing: 0.

    Args:
        first: (n,) values.
        second: (m,) values.

    Raises:
        DataError: A sample is empty.

    >>> round(mann_whitney_z(np.array([3.0, 4.0]), np.array([1.0, 2.0])), 4)
    1.5492
    """
    n, m = len(first), len(second)
    if not n or not m:
        raise DataError(f"samples of {n} and {m} values cannot be compared; give one value of each at least")
    pooled = np.concatenate([first, second])
    ranks = rankdata(pooled)
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    return (u - n * m / 2) / float(np.sqrt(variance)) if len(ties) > 1 else 0.0


@dataclass(frozen=True)
class CellDistances:
    """What C_T needs of its three samples.

    Attributes:
        generated: (N,) distance of each generated image to its nearest training image.
        generated_cell: (N,) the cell that it lies in.
        test: (K,) the same of each test image.
        test_cell: (K,) likewise.
        kept: The cells that count.
    """

    generated: NDArray[np.float64]
    generated_cell: NDArray[np.int64]
    test: NDArray[np.float64]
    test_cell: NDArray[np.int64]
    kept: NDArray[np.int64]

    def statistic(self, generated_index: NDArray[np.int64], test_index: NDArray[np.int64]) -> float:
        """C_T of some of the generated and of the test images, over the cells that count of all of them."""
        generated, generated_cell = self.generated[generated_index], self.generated_cell[generated_index]
        test, test_cell = self.test[test_index], self.test_cell[test_index]
        total = weight = 0.0
        for cell in self.kept:
            of_generated, of_test = generated[generated_cell == cell], test[test_cell == cell]
            if len(of_generated) and len(of_test):
                total += len(of_test) * mann_whitney_z(of_generated, of_test)
                weight += len(of_test)
        if not weight:
            raise DataError("no cell holds both generated and test images; use fewer cells")
        return total / weight

    def of_all(self) -> float:
        """C_T of all images."""
        return self.statistic(np.arange(len(self.generated)), np.arange(len(self.test)))


def c_t(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike, *, cells: int = CELLS, least: int = LEAST, seed: int = 0
) -> float:
    """C_T of Meehan, Chaudhuri & Dasgupta (A Non-Parametric Test to Detect Data-Copying, AISTATS 2020).

    Below 0: generated images lie nearer to training images than test images do (data-copying); above 0: farther
    (underfitting). With d(x) the distance to the nearest training image of all and Z the standardized Mann-Whitney U
    of d over generated against d over test,

        C_T = sum over cells of P(cell) Z(cell) / sum over cells of P(cell),

    P the share of test images in the cell. Cells are the k-means regions of train; those with fewer than ``least``
    generated images do not count (the paper's tau, ``least / N``), nor do those without test images, whose weight is
    0. It is an average of z-scores, so its size grows with the number of images, its spread without memorization is
    near 1 in one cell and below 1 in several, and its centre is 0 only where train and test have the same distribution.
    Ties are corrected for. (The authors' code differs: the nearest training image of the same cell, a continuity
    correction; others reduce the features to 64 principal components first.)

    Args:
        generated: (N, D) features.
        train: (M, D) features of the training images.
        test: (K, D) features of real images of other patients.
        cells: Number of cells; 1 for the global test.
        least: Generated images that a cell needs to count.
        seed: Seed of k-means.

    Raises:
        DataError: No cell counts, fewer different training images than cells, dimensions that differ, NaN.

    >>> rng = np.random.default_rng(0)
    >>> train, test = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    >>> c_t(train + 0.001, train, test) < -3
    True
    """
    return cell_distances(generated, train, test, cells=cells, least=least, seed=seed).of_all()


def cell_distances(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike, *, cells: int = CELLS, least: int = LEAST, seed: int = 0
) -> CellDistances:
    """The distances and cells of :func:`c_t`, for the statistic of several subsets."""
    samples, real = both(generated, train)
    others = as_points(test, "features of test")
    same_dimension(others, real)
    if cells < 1 or least < 1:
        raise ValueError(f"cells = {cells}, least = {least}: give one at least of both")
    labels = _cells(real, [samples, others], cells, seed)
    counts = [np.bincount(cell, minlength=cells) for cell in labels]
    kept = np.flatnonzero((counts[0] >= least) & (counts[1] > 0))
    if not len(kept):
        raise DataError(
            f"no cell holds test images and {least} generated images (generated {counts[0].tolist()}, test "
            f"{counts[1].tolist()}); give more images or use fewer cells"
        )
    return CellDistances(_distances(samples, real), labels[0], _distances(others, real), labels[1], kept)


def _distances(rows: NDArray[np.float64], train: NDArray[np.float64]) -> NDArray[np.float64]:
    return nearest(rows, train)[0][:, 0]


def _cells(
    train: NDArray[np.float64], sets: list[NDArray[np.float64]], cells: int, seed: int
) -> list[NDArray[np.int64]]:
    if cells == 1:
        return [np.zeros(len(rows), dtype=np.int64) for rows in sets]
    count = len(different(train))
    if count < cells:
        raise DataError(f"{count} different training images make no {cells} cells; use fewer cells")
    from sklearn.cluster import KMeans

    centre = train.mean(axis=0)  # features of a large mean lose their digits in k-means' products
    regions = KMeans(cells, n_init=10, random_state=derive_seed(seed, "cells") % 2**32).fit(train - centre)
    return [regions.predict(rows - centre).astype(np.int64) for rows in sets]
