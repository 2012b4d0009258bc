"""Features for quality: from images to vectors, one file each, by name in the registry.

The features ``ssl`` are the copy detector's own activations and come with every run; those registered here are added
with ``bench run --features NAME``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memobench.base.registry import Registry


class Features(Protocol):
    """What maps images to vectors."""

    def features(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (N, *S) in [0, 1] to vectors (N, D)."""
        ...


class FeaturesMaker(Protocol):
    """A class of features: made for a device, refusing what it cannot do before anything is trained."""

    @property
    def dims(self) -> tuple[int, ...]:
        """The numbers of axes that its images may have."""
        ...

    def __call__(self, *, device: str = "cpu") -> Features:
        """Make the features, loading what they need."""
        ...


FEATURES: Registry[FeaturesMaker] = Registry("features", "memobench.features", "memobench.features")
