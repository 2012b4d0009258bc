"""The linear control: principal components with Gaussian weights, a model that learns without a network.

A sample is ``mean + sum_k sd_k c_k component_k`` with c ~ N(0, 1): the probabilistic principal components of Tipping &
Bishop (1999) without their noise, which is the Gaussian whose mean and covariance are those of the training images, cut
to the directions that hold most of the variance. It has no step to tune and learns within seconds. A network that does
not clearly beat its images has learned little more than means and covariances, and the board says so.

Nothing in it can repeat one image: every component is a sum over all of them, and a sample weighs every training image
with about 1/sqrt(n). So it knows its members a little, as every model that fits them does: most of its samples may lie
nearer to train than to held-out patients, and none is a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from numpy.typing import NDArray

from ._controls import gaussian_images

LEAST = 8  # images: of fewer, a Gaussian draw may come close to one of them


@GENERATORS.register("linear")
@dataclass
class Linear(Generator):
    """A Gaussian over the first principal components of the training images.

    Attributes:
        variance: Share of the variance that the components keep, in (0, 1].
    """

    CONTROL: ClassVar[bool] = True

    variance: float = 0.99

    def __post_init__(self) -> None:
        """Refuse a share that keeps nothing.

        Raises:
            ValueError: The share is outside (0, 1].
        """
        if not 0 < self.variance <= 1:
            raise ValueError(f"variance is {self.variance}; give a share above 0, at most 1")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Learn the mean and the components, each as long as its standard deviation over the images.

        Raises:
            MemobenchError: There are too few images, or they are all equal.
        """
        pixels = np.asarray(images.pixels, dtype=np.float32)  # (N, *S)
        if len(pixels) < LEAST:
            raise MemobenchError(f"{len(pixels)} images are too few for a covariance; give at least {LEAST}")
        mean = pixels.mean(axis=0)
        centred = (pixels - mean).reshape(len(pixels), -1)
        _, spread, directions = np.linalg.svd(centred, full_matrices=False)  # (N,), (N, pixels)
        kept = np.cumsum(spread**2) / max(float((spread**2).sum()), np.finfo(np.float32).tiny)
        if not spread[0] > 0:
            raise MemobenchError("all training images are equal, so there is no variance to learn; give other images")
        count = int(np.searchsorted(kept, self.variance)) + 1
        directions *= np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])[:, None]
        modes = (spread / np.sqrt(len(pixels) - 1))[:count, None] * directions[:count]
        self._mean, self._modes = mean, modes.reshape(-1, *images.shape).astype(np.float32)  # (*S), (K, *S)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images, (n, *S) in [0, 1]."""
        return gaussian_images(self._mean, self._modes, n, seed=seed)

    def state(self) -> dict[str, NDArray[Any]]:
        """The mean and the components."""
        return {"mean": self._mean, "modes": self._modes}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the mean and the components."""
        self._mean, self._modes = np.asarray(state["mean"]), np.asarray(state["modes"])
        return self
