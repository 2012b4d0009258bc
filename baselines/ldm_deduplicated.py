"""Latent diffusion on training images of which near-duplicates were removed first.

What a training set holds several times is memorized more: Kandpal et al., Deduplicating Training Data Mitigates Privacy
Risks in Language Models, ICML 2022; for diffusion models Carlini et al., Extracting Training Data from Diffusion
Models, USENIX Security 2023, section 7.1, and Nichol, DALL-E 2 Pre-Training Mitigations, 2022. A patient's scans of one
region are such duplicates, and so are the scans of one person under two names.

What it costs: training images, hence diversity within patients; nothing where every image is another patient's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from numpy.typing import NDArray

from ._frame import foreign_state
from ._on_ldm import ON_LDM_PRESETS, OnLDM

BLOCK = 1024  # rows of the similarity matrix at once
ROUNDING = 1e-5  # by which a correlation may differ with the order of its sum


@GENERATORS.register("ldm_deduplicated")
@dataclass
class LDMDeduplicated(OnLDM):
    """`ldm` without near-duplicates.

    Two images are near-duplicates where their coarse versions correlate more than the images of two patients usually
    do. That is read off the training images themselves: of each image's highest correlation with an image of another
    patient, a high percentile.

    Attributes:
        side: Side of the coarse versions in pixels; small, so that noise and small shifts are of no consequence.
        percentile: Of the highest correlations between patients; above it two images are near-duplicates. 99 calls one
            image in a hundred a duplicate where no two are.
    """

    side: int = 16
    percentile: float = 99.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = ON_LDM_PRESETS

    def __post_init__(self) -> None:
        """Refuse a percentile outside [0, 100] and coarse versions below 2 pixels."""
        super().__post_init__()
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}; give 0 to 100")
        if self.side < 2:
            raise ValueError(f"side is {self.side}; give at least 2")

    def fit(self, images: Images, *, context: Context) -> Self:
        """Remove near-duplicates, and train on the rest."""
        thumbnails = coarse(images.pixels, self.side)
        kept = without_duplicates(thumbnails, usual(thumbnails, images.patients, self.percentile))
        self.counts_ = np.array([len(images), int(kept.sum())])
        self.model_ = self._new().fit(images.take(kept), context=context)
        return self

    def notes(self) -> list[str]:
        """How many images were removed."""
        before, after = self.counts_.tolist()
        return [f"{before - after} of {before} training images were removed as near-duplicates before training"]

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of the model inside, and the number of images before and after."""
        return {**super().state(), "counts": self.counts_}

    def restore(self, state: Mapping[str, NDArray[Any]], *, device: str = "cpu") -> Self:
        """Take up what :meth:`state` gave."""
        super().restore({name: array for name, array in state.items() if name != "counts"}, device=device)
        if "counts" not in state:
            raise foreign_state("ldm_deduplicated", KeyError("counts"))
        self.counts_ = np.asarray(state["counts"])
        return self


def coarse(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Coarse versions of images as vectors of mean zero and length one, so that products are correlations.

    Args:
        pixels: (N, *S)
        side: Pixels along each axis, at most; each is the mean of a block.

    Returns:
        (N, F); zeros for an image without contrast.

    >>> coarse(np.eye(4, dtype=np.float32)[None], 2).round(1)
    array([[ 0.5, -0.5, -0.5,  0.5]], dtype=float32)
    """
    means: NDArray[Any] = np.asarray(pixels)
    for axis, length in enumerate(pixels.shape[1:], 1):
        edges = np.linspace(0, length, min(side, length) + 1).astype(int)
        sums = np.add.reduceat(means, edges[:-1], axis=axis)
        widths = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(means.ndim)])
        means = sums / widths
    flat = means.reshape(len(means), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length_of = np.linalg.norm(flat, axis=1, keepdims=True)
    vectors: NDArray[np.float32] = np.divide(flat, length_of, out=np.zeros_like(flat), where=length_of > 1e-6)
    return vectors.astype(np.float32)


def usual(vectors: NDArray[np.float32], patients: NDArray[np.str_], percentile: float) -> float:
    """A percentile of the highest correlation of each image with an image of another patient.

    Args:
        vectors: (N, F) of length one.
        patients: (N,)
        percentile: 0 to 100.

    Raises:
        MemobenchError: There are fewer than two patients.
    """
    if len(np.unique(patients)) < 2:
        raise MemobenchError("what is usual between patients cannot be seen from one; give at least two patients")
    highest = []
    for start in range(0, len(vectors), BLOCK):
        products = vectors[start : start + BLOCK] @ vectors.T
        products[patients[start : start + BLOCK, None] == patients] = -np.inf
        highest.append(products.max(axis=1))
    return float(np.percentile(np.concatenate(highest), percentile))


def without_duplicates(vectors: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Which images to keep: each unless it correlates above the threshold with one kept before it.

    Args:
        vectors: (N, F) of length one.
        threshold: The highest correlation that two kept images may have.

    Returns:
        (N,) True for those kept; the first always is.

    >>> without_duplicates(np.array([[1, 0], [0.6, 0.8], [1, 0]], dtype=np.float32), 0.9).tolist()
    [True, True, False]
    """
    kept = np.zeros(len(vectors), dtype=bool)
    for index, vector in enumerate(vectors):
        kept[index] = not (vectors[kept] @ vector > threshold + ROUNDING).any()
    return kept
