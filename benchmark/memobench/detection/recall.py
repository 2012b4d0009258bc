"""Answers that are remembered image by image, for many sets of samples that share images.

A calibration audits hundreds of sets that are drawn from the same strangers and the same copies, against the same real
images. What an image is matched with does not depend on the set that it lies in, so it is found out once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = Mapping[str, NDArray[Any]]  # by name, (N, ...) each, a row for each image


@dataclass(frozen=True)
class Recall:
    """Rows of answers by the question and the content of an image, in memory."""

    _rows: dict[str, dict[bytes, dict[str, NDArray[Any]]]] = field(default_factory=dict)

    def rows(
        self, question: str, images: NDArray[np.float32], ask: Callable[[NDArray[np.float32]], Answers]
    ) -> Answers:
        """The answers to a question about each image; only images that it was not asked about before are asked about.

        Args:
            question: Names everything that the answers depend on beside the image.
            images: (N, *S), N at least 1.
            ask: Answers for some images, row by row; a row depends on its image alone.
        """
        known = self._rows.setdefault(question, {})
        digests = [hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest() for image in images]
        new = {digest: row for row, digest in enumerate(digests) if digest not in known}
        if new:
            answers = ask(images[list(new.values())])
            for place, digest in enumerate(new):
                known[digest] = {name: np.array(array[place]) for name, array in answers.items()}
        names = known[digests[0]]
        return {name: np.stack([known[digest][name] for digest in digests]) for name in names}


def asked_now(question: str, images: NDArray[np.float32], ask: Callable[[NDArray[np.float32]], Answers]) -> Answers:
    """The answers for each image, asked for now; the place of :meth:`Recall.rows` where nothing is remembered."""
    return ask(images)
