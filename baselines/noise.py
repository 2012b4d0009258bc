"""The control that learned nothing: white noise with the training images' mean and standard deviation.

It memorizes nobody and its images are worthless, so it marks the bad end of every quality metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from numpy.typing import NDArray


@GENERATORS.register("noise")
@dataclass
class Noise(Generator):
    """Independent normal pixels, clipped to [0, 1]."""

    CONTROL: ClassVar[bool] = True

    def fit(self, images: Images, *, context: Context) -> Self:
        """Learn one mean, one standard deviation and the shape."""
        self._moments = np.array([images.pixels.mean(), images.pixels.std()], dtype=np.float32)
        self._shape = np.array(images.shape)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images of noise."""
        mean, sd = self._moments
        rng = np.random.default_rng(seed)
        pixels = rng.standard_normal((n, *self._shape.tolist()), dtype=np.float32)  # (n, *S)
        clipped: NDArray[np.float32] = np.clip(mean + sd * pixels, 0, 1)
        return clipped

    def state(self) -> dict[str, NDArray[Any]]:
        """The moments and the shape."""
        return {"moments": self._moments, "shape": self._shape}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the moments and the shape."""
        self._moments, self._shape = np.asarray(state["moments"]), np.asarray(state["shape"])
        return self
