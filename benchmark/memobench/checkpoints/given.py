"""Samples alone: a generator of which nothing else is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError
from memobench.data.samples import Samples
from memobench.generator import Context, Generator
from memobench.images import Images


@dataclass
class Given(Generator):
    """Gives the samples that it was given; it learns nothing."""

    @classmethod
    def of(cls, samples: Samples) -> Self:
        """A generator of these samples."""
        made = cls()
        made._samples = samples
        return made

    def fit(self, images: Images, *, context: Context) -> Self:
        """Learn nothing: the samples were drawn elsewhere."""
        return self

    def sample(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """The first n samples.

        Raises:
            MemobenchError: There are fewer.
        """
        pixels = self._samples.pixels
        if n > len(pixels):
            raise MemobenchError(f"there are {len(pixels)} samples, not {n}; give more")
        return pixels[:n]

    def state(self) -> dict[str, NDArray[Any]]:
        """The samples, as 8-bit images."""
        return {"samples": np.rint(self._samples.pixels * 255).astype(np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up samples that were stored."""
        kept = np.asarray(state["samples"]).astype(np.float32) / np.float32(255)
        given: Samples | None = getattr(self, "_samples", None)
        self._samples = Samples(kept, () if given is None else given.notes)
        return self

    def notes(self) -> list[str]:
        """How they were read."""
        return list(self._samples.notes)
