"""Precision, recall, density and coverage: how two sets of features lie in each other's neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.neighbours.neighbourhoods import Neighbourhoods, neighbourhoods


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

    Duplicates count once: :func:`memobench.neighbours.neighbourhoods.neighbourhoods` says how. Where fewer than k other
    real points exist, density divides by their number.

    Args:
        real: (M, D) features of real images, M >= 1.
        fake: (N, D) features of generated images, N >= 1.
        k: Neighbours that set the radius of a ball.
    """
    return items_of(neighbourhoods(real, fake, k))


def items_of(found: Neighbourhoods) -> Items:
    """The four measures for each image, from neighbourhoods that may serve other measures too."""
    return Items(
        precision=found.real_balls > 0,
        density=found.real_balls / found.real_distances.shape[1],
        recall=found.fake_balls > 0,
        coverage=found.fakes_held > 0,
    )
