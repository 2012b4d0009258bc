"""The coarse search: whose image a query repeats where all detail is lost, or belongs to somebody else.

Copies through a small latent, of a few principal components, or with the detail of a stranger keep nothing that cells
(:mod:`memobench.detection.cells`) could compare: what is left is coarse, and coarse shading looks the same in many
patients. What they share can be taken off. Images are blurred and thinned out, their mean over patients is subtracted,
and they are whitened by their own covariance (Mahalanobis 1936, with a ridge; ZCA, Bell & Sejnowski 1997,
doi 10.1016/S0042-6989(97)00121-1): what remains is what the other places of an image and the other patients do not
foretell. It is divided by its local contrast and cut off, so that no border or corner leads. Of that, correlations with
all patients are compared, and the score is by how much the best patient surpasses the second, in standard deviations of
all but the best. So a query with little left to tell it by, whose correlations with everybody spread widely, needs more
to stand out.

Real images of new patients are searched likewise, whitened by a covariance to which they did not contribute. Each is
searched as it is and as a reconstruction from the first principal components of other patients, and its higher score
counts, so that images of nobody that are reconstructed, as generators' are, score no higher than the null. Blurring
changes next to nothing in this band.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from memobench.detection.cells import Grid
from memobench.detection.register import gaussian, shrink

Floats = NDArray[np.float64]

BLUR = 2.5 / 64  # standard deviation of the blur, as a share of the longest side
SIDE = {2: 16, 3: 8}  # values along the longest side
RIDGE = 0.2  # of the mean variance: what is added to the variance of every direction
LOCAL = 5 / 16  # side of the window of the local contrast, as a share of the longest side
WHOLE = 0.3  # of the mean square of the whole image, added to that of the window
CLIP = 1.5  # root mean squares at which values are cut off
COMPONENTS = 64  # of the reconstructions of the null, at most, and at most a third of the patients
FOLDS = 10  # groups of patients, at least, whose images are whitened by all the others': where there is work for it
WORK = 200_000  # for less than so many whitened images, every patient alone, as a new patient is
FEWEST = 12  # patients, below which there is no telling who stands out
BLOCK = 1 << 22  # correlations that are held at once
_AT_ONCE = 256
_TINY = 1e-9


@dataclass(frozen=True)
class Whitening:
    """How images are whitened.

    Attributes:
        mean: (d,) of the images.
        matrix: (d, d) that whitens what is left, symmetric.
        axes: (d, k) the first principal components.
        shape: Of the d values in space.
    """

    mean: Floats
    matrix: Floats
    axes: Floats
    shape: tuple[int, ...]

    @classmethod
    def of(cls, vectors: Floats, shape: tuple[int, ...], patients: int) -> Self:
        """Learn from images.

        Args:
            vectors: (M, d) from :func:`coarse_vectors`.
            shape: Of the d values in space.
            patients: How many they are of.
        """
        mean = vectors.mean(axis=0)
        centred = vectors - mean
        values, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
        values = np.maximum(values, 0)
        matrix = (axes / np.sqrt(values + RIDGE * values.mean() + _TINY)) @ axes.T
        kept = max(1, min(COMPONENTS, patients // 3))
        return cls(mean, matrix, axes[:, ::-1][:, :kept], shape)

    def __call__(self, vectors: Floats) -> Floats:
        """(N, d) whitened, even in contrast, cut off, and of length one."""
        white = ((vectors - self.mean) @ self.matrix).reshape(-1, *self.shape)
        square = np.square(white)
        window = [max(1, 2 * round((LOCAL * max(self.shape) - 1) / 2) + 1)] * len(self.shape)
        whole = square.mean(axis=tuple(range(1, white.ndim)), keepdims=True)
        even = white / np.sqrt(uniform_filter(square, [1, *window], mode="nearest").clip(0) + WHOLE * whole + _TINY**2)
        flat = even.reshape(len(white), -1)
        limit = CLIP * np.sqrt(np.square(flat).mean(axis=1, keepdims=True))
        flat = flat.clip(-limit, limit)
        unit: Floats = flat / (np.linalg.norm(flat, axis=1, keepdims=True) + _TINY)
        return unit

    def reconstructed(self, vectors: Floats) -> Floats:
        """(N, d) from the first principal components alone."""
        again: Floats = self.mean + ((vectors - self.mean) @ self.axes) @ self.axes.T
        return again


@dataclass(frozen=True)
class CoarsePool:
    """Real images ready to be searched coarsely.

    Attributes:
        vectors: (M, d) from :func:`coarse_vectors`.
        shape: Of the d values in space.
        owners: (M,) number of each image's patient; images that are near-identical may share one.
    """

    vectors: Floats
    shape: tuple[int, ...]
    owners: NDArray[np.int64]

    @cached_property
    def whitening(self) -> Whitening:
        """Of all images together."""
        return Whitening.of(self.vectors, self.shape, self.patients)

    @cached_property
    def patients(self) -> int:
        """How many patients there are."""
        return len(np.unique(self.owners))

    @property
    def searchable(self) -> bool:
        """Whether there are enough patients."""
        return self.patients >= FEWEST


@dataclass(frozen=True)
class Coarse:
    """The best match of each of N queries.

    Attributes:
        score: (N,) by how many standard deviations the best patient surpasses the second.
        index: (N,) the best image of that patient.
    """

    score: NDArray[np.float32]
    index: NDArray[np.int64]


@torch.no_grad()
def coarse_vectors(pixels: NDArray[np.float32]) -> Floats:
    """(N, d) images (N, *S) in [0, 1], blurred, thinned out, and standardized each by itself."""
    grid = Grid.of(pixels.shape[1:])
    longest = max(grid.shape)
    thinned = _thinned(grid)
    parts = []
    for start in range(0, len(pixels), _AT_ONCE):
        images = torch.from_numpy(np.array(pixels[start : start + _AT_ONCE], dtype=np.float32))[:, None]
        soft: Floats = gaussian(shrink(images, longest), BLUR * longest)[:, 0].double().numpy()
        parts.append(soft[:, *thinned].reshape(len(soft), -1))
    vectors = np.concatenate(parts) if parts else np.zeros((0, 1))
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    unit: Floats = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + _TINY)
    return unit


def _thinned(grid: Grid) -> list[slice]:
    step = max(1, round(max(grid.shape) / SIDE[len(grid.shape)]))
    return [slice(min(step, side) // 2, None, step) for side in grid.shape]


def coarse_pool(pixels: NDArray[np.float32], owners: NDArray[np.int64]) -> CoarsePool:
    """Prepare real images.

    Args:
        pixels: (M, *S) in [0, 1].
        owners: (M,) number of each image's patient.
    """
    grid = Grid.of(pixels.shape[1:])
    shape = tuple(len(range(side)[kept]) for side, kept in zip(grid.shape, _thinned(grid), strict=True))
    return CoarsePool(coarse_vectors(pixels), shape, np.asarray(owners, dtype=np.int64))


def find_coarse(queries: NDArray[np.float32], pool: CoarsePool, *, passed: NDArray[np.int64] | None = None) -> Coarse:
    """Whom queries repeat coarsely.

    Args:
        queries: (N, *S) in [0, 1].
        pool: Real images.
        passed: (N,) a patient of the pool, by number, whom each is not compared with; None for nobody.
    """
    return _standing_out(coarse_vectors(queries), pool, pool.whitening, passed)


def coarse_null(queries: NDArray[np.float32], pool: CoarsePool, owners: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) what images of the pool, in whatever pose, score as if their patients were new.

    Args:
        queries: (N, *S) in [0, 1].
        pool: Real images, those of the same patients among them.
        owners: (N,) the patients of the queries, by the numbers of the pool.
    """
    vectors = coarse_vectors(queries)
    numbers = np.unique(pool.owners)
    fold_of = np.zeros(int(numbers.max()) + 1, dtype=np.int64)
    # of few images, two who are left out together have a direction to themselves in which they agree or not strongly
    fold_of[numbers] = np.arange(len(numbers)) % max(FOLDS, WORK // len(pool.vectors))
    scores = np.zeros(len(queries), dtype=np.float32)
    for fold in np.unique(fold_of[owners]).tolist():
        rows = np.flatnonzero(fold_of[owners] == fold)
        others = fold_of[pool.owners] != fold
        whitening = Whitening.of(pool.vectors[others], pool.shape, int((fold_of[numbers] != fold).sum()))
        tries = (vectors[rows], whitening.reconstructed(vectors[rows]))
        scores[rows] = np.max([_standing_out(one, pool, whitening, owners[rows]).score for one in tries], axis=0)
    return scores


def _standing_out(vectors: Floats, pool: CoarsePool, whitening: Whitening, passed: NDArray[np.int64] | None) -> Coarse:
    """The best patient of each query, against all others."""
    order = np.argsort(pool.owners, kind="stable")
    numbers, first = np.unique(pool.owners[order], return_index=True)
    real = whitening(pool.vectors[order]).T
    step = max(1, BLOCK // max(1, len(order)))
    scores, indices = [], []
    for start in range(0, len(vectors), step):
        agreement = whitening(vectors[start : start + step]) @ real
        rows = np.arange(len(agreement))
        left_out = None
        if passed is not None:
            left_out = passed[start : start + step, None]
            agreement[left_out == pool.owners[order][None]] = -np.inf
        patients = np.maximum.reduceat(agreement, first, axis=1)
        others = np.ones(patients.shape, dtype=bool) if left_out is None else left_out != numbers[None]
        indices.append(order[agreement.argmax(axis=1)])
        best = patients.argmax(axis=1)
        others[rows, best] = False
        rest = np.where(others, patients, 0.0)
        count = others.sum(axis=1)
        mean = rest.sum(axis=1) / count
        spread = np.sqrt(np.where(others, np.square(patients.clip(-1, 1) - mean[:, None]), 0.0).sum(axis=1) / count)
        second = np.where(others, patients, -np.inf).max(axis=1)
        scores.append((patients[rows, best] - second) / (spread + _TINY))
    if not scores:
        return Coarse(np.zeros(0, np.float32), np.zeros(0, np.int64))
    return Coarse(np.concatenate(scores).astype(np.float32), np.concatenate(indices).astype(np.int64))
