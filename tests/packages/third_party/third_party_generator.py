"""A model from outside: each sample is a random blend of two training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from memobench.generator import Context, Generator
from memobench.images import Images
from numpy.typing import NDArray


@dataclass
class Patchwork(Generator):
    """Blends of training images.

    Attributes:
        least: The smallest share, in [0, 0.5], that each of the two has.
    """

    least: float = 0.3

    def fit(self, images: Images, *, context: Context) -> Self:
        """Keep the training images."""
        self._pixels = np.array(images.pixels)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n blends, (n, *S) float32 in [0, 1]."""
        random = np.random.default_rng(seed)
        first, second = random.integers(len(self._pixels), size=(2, n))
        share = random.uniform(self.least, 1 - self.least, size=(n, *[1] * (self._pixels.ndim - 1)))
        blends: NDArray[np.float32] = share * self._pixels[first] + (1 - share) * self._pixels[second]
        return blends.clip(0, 1).astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """The training images."""
        return {"pixels": self._pixels}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the training images."""
        self._pixels = np.asarray(state["pixels"])
        return self
