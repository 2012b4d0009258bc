"""Authenticity: the share of generated images that are no nearer to a training image than training images are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.memorization._points import both, different, one_each
from memobench.neighbours.nearest import nearest
from memobench.neighbours.neighbourhoods import TIE


def authenticity(generated: ArrayLike, train: ArrayLike, *, train_groups: NDArray[Any] | None = None) -> float:
    """Authenticity (Alaa, van Breugel, Saveliev & van der Schaar, ICML 2022), in [0, 1].

    The share of generated images that are authentic by :func:`authentic`. It is a share (other code gives per cent, or
    per cent minus 50), and its value without memorization is neither 0.5 nor 1: it depends on the numbers of images
    and on the space, and a generator whose images lie far from all real ones gets 1. So read it beside the value of
    fresh real images in the generated images' place.

    Args:
        generated: (N, D) features.
        train: (M, D) features of the training images.
        train_groups: (M,) patient of each training image; see :func:`authentic`.

    Raises:
        DataError: Fewer than two training points (or patients), dimensions that differ, NaN or infinite values.

    >>> authenticity([[0.5], [3.0], [8.0]], [[0.0], [1.0], [4.0]])
    0.3333333333333333
    """
    return float(authentic(generated, train, train_groups=train_groups)[0].mean())


def authentic(
    generated: ArrayLike, train: ArrayLike, *, train_groups: NDArray[Any] | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which generated images are authentic.

    With r the training image nearest to the generated image g, g is authentic where d(g, r) > d(r, nearest other
    training image to r). A tie (equal but for rounding) is not authentic. Training images that are one point (closer
    than 1e-5 of the set's spread) count as one, or no copy of a duplicated image would ever be found; a copy of either
    of two equal images goes to the first. Scans of one patient are similar too: with ``train_groups`` the "nearest
    other" is of another patient.

    Args:
        generated: (N, D) features.
        train: (M, D) features of the training images.
        train_groups: (M,) patient of each training image; None where every image is a patient of its own.

    Returns:
        (N,) whether each generated image is authentic, and (N,) the row of its nearest training image.

    Raises:
        DataError: Fewer than two training points (or patients), dimensions that differ, NaN or infinite values.
    """
    samples, real = both(generated, train)
    chosen = different(real)
    points, groups = real[chosen], None
    counts = {"different image(s)": len(points)}
    if train_groups is not None:
        one_each(train_groups, len(real), "training")
        groups = np.asarray(train_groups)[chosen]
        counts["patient(s)"] = len(np.unique(groups))
    for kind, count in counts.items():
        if count < 2:
            raise DataError(f"authenticity wants a nearest other one, and train holds {count} {kind}; give more")
    reach = nearest(points, points, exclude_self=True, query_groups=groups, pool_groups=groups)[0][:, 0]
    distance, index = nearest(samples, points)
    at = index[:, 0]
    return np.square(distance[:, 0]) > np.square(reach[at]) * (1 + TIE), chosen[at]
