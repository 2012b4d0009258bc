"""The control that memorized nothing: real images of new patients, who are in no other split.

Its ``train_share`` is 0.5 and its ``copy_rate`` 0 in truth. A measure that finds copies here is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.generator import GENERATORS, Context, Generator
from memobench.images import Images
from numpy.typing import NDArray

from ._controls import evenly, new_patients


@GENERATORS.register("fresh")
@dataclass
class Fresh(Generator):
    """Gives images of new patients, each once before any comes again."""

    CONTROL: ClassVar[bool] = True
    NEEDS_FRESH: ClassVar[bool] = True

    def fit(self, images: Images, *, context: Context) -> Self:
        """Keep the new patients' images; the training images are not looked at."""
        self._fresh = new_patients(context)  # (F, *S)
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draw n images in random order."""
        return evenly(self._fresh, n, np.random.default_rng(seed))

    def state(self) -> dict[str, NDArray[Any]]:
        """The images."""
        return {"fresh": self._fresh}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up the images."""
        self._fresh = np.asarray(state["fresh"])
        return self
