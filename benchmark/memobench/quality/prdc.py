"""Precision, recall, density and coverage: how two sets of features lie in each other's neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.errors import DataError
from memobench.neighbours import as_points, ball_counts, distinct, nearest, same_dimension

SAME = 1e-5  # of the real images' root mean square distance from their mean: rows closer than that are one point


@dataclass(frozen=True)
class Items:
    """The four measures item by item; their means are the measures.

    Attributes:
        precision: (N,) bool, generated images inside the ball of a real one.
        density: (N,) real balls that hold each generated image, divided by k.
        recall: (M,) bool, real images inside the ball of a generated one.
        coverage: (M,) bool, real images whose ball holds a generated one.
    """

    precision: NDArray[np.bool_]
    density: NDArray[np.float64]
    recall: NDArray[np.bool_]
    coverage: NDArray[np.bool_]

    def means(self) -> dict[str, float]:
        """The four measures."""
        return {
            "precision": float(self.precision.mean()),
            "recall": float(self.recall.mean()),
            "density": float(self.density.mean()),
            "coverage": float(self.coverage.mean()),
        }


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019, eqs. 1-3), density and coverage (Naeem et al. 2020, eqs. 2, 4).

    A ball reaches from an image to its k-th nearest other image of the same set. Among images that are all different
    this gives what the ``prdc`` package gives; see :func:`prdc_items` for duplicates.

    Args:
        real: (M, D) features of real images.
        fake: (N, D) features of generated images.
        k: Neighbours that set the radius of a ball.

    Returns:
        precision, recall, coverage in [0, 1]; density >= 0, about 1 for new real images.

    Raises:
        DataError: A set has k images or fewer, dimensions that differ, NaN or infinite values.

    >>> rng = np.random.default_rng(0)
    >>> real, fake = rng.normal(size=(200, 4)), rng.normal(size=(200, 4))
    >>> prdc(real, np.repeat(real, 2, axis=0))
    {'precision': 1.0, 'recall': 1.0, 'density': 1.0, 'coverage': 1.0}
    >>> prdc(real, fake + 9)["precision"]
    0.0
    """
    for name, rows in (("real", real), ("generated", fake)):
        if np.ndim(rows) == 2 and len(np.asarray(rows)) <= k:
            raise DataError(
                f"{len(np.asarray(rows))} {name} images have no {k} nearest others; give more, or a lower k"
            )
    return prdc_items(real, fake, k).means()


def prdc_items(real: ArrayLike, fake: ArrayLike, k: int = 5) -> Items:
    """The four measures for each image.

    Balls are open, as in the ``prdc`` package. That alone makes nonsense of duplicates: with every real image there
    ten times over, every radius is 0 and precision with it. So images of one set that are one point (closer than 1e-5
    of the spread of the real images, as one image is to itself in another batch) count once where radii and balls are
    concerned, and each duplicate then gets the value of its point. Repeating all images changes nothing. Where fewer
    than k other points exist, the ball reaches to the farthest of them and density divides by their number; a lone
    point's ball holds that point.

    Args:
        real: (M, D) features of real images, M >= 1.
        fake: (N, D) features of generated images, N >= 1.
        k: Neighbours that set the radius of a ball.
    """
    real_rows, fake_rows = as_points(real, "features of real images"), as_points(fake, "features of generated images")
    same_dimension(real_rows, fake_rows)
    if not len(real_rows) or not len(fake_rows):
        raise DataError(f"{len(real_rows)} real and {len(fake_rows)} generated images; give some of both")
    spread = float(np.sqrt(np.square(real_rows - real_rows.mean(axis=0)).sum(axis=1).mean()))
    real_chosen, real_inverse = distinct(real_rows, same=SAME * spread)
    fake_chosen, fake_inverse = distinct(fake_rows, same=SAME * spread)
    real_points, fake_points = real_rows[real_chosen], fake_rows[fake_chosen]
    counts = ball_counts(
        fake_points,
        real_points,
        query_radii=_radii(fake_points, k),
        pool_radii=_radii(real_points, k),
        same=SAME * spread,
    )
    neighbours = max(1, min(k, len(real_points) - 1))
    return Items(
        precision=(counts.pool_balls > 0)[fake_inverse],
        density=(counts.pool_balls / neighbours)[fake_inverse],
        recall=(counts.query_balls > 0)[real_inverse],
        coverage=(counts.queries_held > 0)[real_inverse],
    )


def _radii(points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """(U,) distance to the k-th nearest other point, or the farthest where there are fewer; 0 for a lone point."""
    reach = min(k, len(points) - 1)
    return nearest(points, points, k=reach, exclude_self=True)[0][:, -1] if reach else np.zeros(len(points))
