"""The control that copies: a given share of its samples are training images, perturbed; the rest are new patients.

Its ``copy_rate`` is ``share`` in truth, so it shows what a detector finds of what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from numpy.typing import NDArray

from ._controls import evenly, new_patients, perturb


@GENERATORS.register("replay")
@dataclass
class Replay(Generator):
    """Copies ``share`` of its samples from train.

    Attributes:
        share: Share of samples that are copies, in [0, 1].
        strength: How far each copy is perturbed: 0 not at all, 1 as a good generator would (a few degrees, a few
            percent of shift and scale, some gamma, blur and noise).
    """

    CONTROL: ClassVar[bool] = True
    NEEDS_FRESH: ClassVar[bool] = True

    share: float = 1.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no share or no strength."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share={self.share} is no share; give 0 to 1")
        if not 0 <= self.strength <= 4:
            raise ValueError(f"strength={self.strength} is out of range; give 0 to 4")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Store the training images and the new patients' images."""
        self._train = np.array(images.pixels)  # (N, *S)
        self._fresh = new_patients(context)  # (F, *S)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw round(share * n) perturbed copies of random training images, and new patients for the rest."""
        rng = np.random.default_rng(seed)
        copies = round(self.share * n)
        sources = rng.integers(len(self._train), size=copies)
        images = np.empty((n, *self._train.shape[1:]), dtype=np.float32)
        for row, source in enumerate(sources):
            images[row] = perturb(self._train[source], self.strength, rng)
        images[copies:] = evenly(self._fresh, n - copies, rng)
        return images[rng.permutation(n)]

    def state(self) -> dict[str, NDArray[Any]]:
        """Both sets of images."""
        return {"train": self._train, "fresh": self._fresh}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up both sets of images."""
        self._train, self._fresh = np.asarray(state["train"]), np.asarray(state["fresh"])
        return self
