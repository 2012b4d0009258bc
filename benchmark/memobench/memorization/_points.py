"""The training images of a score as different points: duplicates would be each other's nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.neighbours.nearest import as_points, distinct, same_dimension
from memobench.neighbours.neighbourhoods import SAME


def both(generated: ArrayLike, train: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Generated and training features as (N, D) and (M, D) float64.

    Raises:
        DataError: A set is empty, dimensions differ, or NaN or infinite values.
    """
    samples, real = as_points(generated, "features of generated images"), as_points(train, "features of train")
    same_dimension(samples, real)
    if not len(samples) or not len(real):
        raise DataError(f"{len(samples)} generated and {len(real)} training images; give some of both")
    return samples, real


def different(train: NDArray[np.float64]) -> NDArray[np.int64]:
    """(U,) rows that stand for the different points of a set; rows closer than 1e-5 of its spread are one point."""
    spread = float(np.sqrt(np.square(train - train.mean(axis=0)).sum(axis=1).mean()))
    return distinct(train, same=SAME * spread)[0]


def one_each(labels: NDArray[Any], count: int, name: str) -> None:
    """Refuse labels that are not one per image.

    Raises:
        DataError: They are not.
    """
    if len(labels) != count:
        raise DataError(f"{len(labels)} patients of {count} {name} images; give one per image")
