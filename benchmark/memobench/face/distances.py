"""Distances between two sets of images, or of their features: the quality metrics on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.data.arrays import pixels_of
from memobench.face.copies import CopyDetector
from memobench.features import FEATURES
from memobench.quality import fd, kid, prdc
from memobench.training.acceleration import device_of

FeaturesOf = CopyDetector | Callable[[NDArray[np.float32]], Any] | str | None


class PrecisionRecall(NamedTuple):
    """How much of the samples looks real, and how much of the real variety they cover.

    Attributes:
        precision: Share of samples within the real images' neighbourhoods, in [0, 1].
        recall: Share of real images within the samples' neighbourhoods, in [0, 1].
        density: How deep samples lie among real images; about 1 for real ones.
        coverage: Share of real images with a sample close by, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def frechet_distance(samples: Any, reference: Any, *, features: FeaturesOf = None) -> float:
    """The Frechet distance between two sets, each seen as a Gaussian of features; FID with Inception's.

    Args:
        samples: (N, F) features, or images as :mod:`memobench.data.arrays` reads them.
        reference: (M, F) features, or images.
        features: For images, what they are compared by: a fitted :class:`memobench.CopyDetector` (its features are
            those of ``fd_ssl``), a name of ``bench list features`` such as "inception", or a function from images
            (N, *S) in [0, 1] to (N, F).

    Returns:
        The distance, >= 0; biased upwards by about 1/N + 1/M, so compare at equal numbers
        (:func:`memobench.quality.fd.frechet_distance` says how it is computed).

    Raises:
        DataError: Images without ``features``, or sets that cannot be compared.

    >>> rng = np.random.default_rng(0)
    >>> one = rng.normal(size=(100, 3))
    >>> round(frechet_distance(one, one + 2), 6)
    12.0
    >>> frechet_distance(np.zeros((9, 8, 8)), np.zeros((9, 8, 8)), features=lambda images: images.reshape(9, -1))
    0.0
    """
    return fd.frechet_distance(*_both(samples, reference, features))


def kernel_distance(samples: Any, reference: Any, *, features: FeaturesOf = None) -> float:
    """The kernel distance between two sets: the unbiased squared maximum mean discrepancy; KID with Inception's.

    Args:
        samples: (N, F) features, or images; see :func:`frechet_distance`.
        reference: (M, F) features, or images.
        features: See :func:`frechet_distance`.

    Returns:
        The distance; unbiased, so about 0 and negative as often as not for two sets of one distribution.

    Raises:
        DataError: Images without ``features``, or sets that cannot be compared.

    >>> rng = np.random.default_rng(0)
    >>> one, other = rng.normal(size=(200, 4)), rng.normal(size=(200, 4))
    >>> abs(kernel_distance(one, other)) < 0.05 < kernel_distance(one, other + 1)
    True
    """
    return kid.kernel_distance(*_both(samples, reference, features))


def precision_recall(samples: Any, reference: Any, *, k: int = 5, features: FeaturesOf = None) -> PrecisionRecall:
    """Precision and recall, density and coverage of samples against real images.

    Args:
        samples: (N, F) features, or images; see :func:`frechet_distance`.
        reference: (M, F) features, or images.
        k: Neighbours that set the radius of a neighbourhood.
        features: See :func:`frechet_distance`.

    Raises:
        DataError: Images without ``features``, or sets of k images or fewer.

    >>> rng = np.random.default_rng(0)
    >>> real = rng.normal(size=(200, 4))
    >>> precision_recall(real + 9, real).precision
    0.0
    """
    fake, real = _both(samples, reference, features)
    return PrecisionRecall(**prdc.prdc(real, fake, k))


def _both(samples: Any, reference: Any, features: FeaturesOf) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(features, str):
        features = FEATURES.get(features)(device=device_of("auto")).features
    elif isinstance(features, CopyDetector):
        features = features.features
    return _rows(samples, "samples", features), _rows(reference, "reference", features)


def _rows(given: Any, name: str, features: Callable[[NDArray[np.float32]], Any] | None) -> NDArray[Any]:
    if getattr(given, "ndim", 0) == 2:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if features is None:
        raise DataError(
            f"{name} are images, and what they are compared by is not said; give features (N, F), or features= a "
            'fitted CopyDetector, "inception", or a function'
        )
    rows = features(pixels_of(given, name))
    return np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows)
