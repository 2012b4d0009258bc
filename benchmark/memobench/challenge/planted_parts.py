"""Planted parts: the smallest part of an image that is found when somebody else's body bears it.

Parts of training images are laid into images of other patients: of several sizes, at random places with content,
turned a little, with noise and a blended border. A part is found where its score surpasses that of 99% of real images
of new patients, and its own image is named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from memobench.base.progress import Track, silent
from memobench.base.seeds import generator_for
from memobench.detection.regions import RegionPool, find_regions

SHARES = {2: (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32), 3: (1 / 2, 1 / 4, 1 / 8)}  # of the area or volume
COUNT = {2: 20, 3: 8}  # parts of each size, where many null scores are asked for
FOUND = 0.8  # of the parts of a size, for it to count as found
FALSE = 0.01  # share of false positives
TURN = 2.0  # degrees, at most
NOISE = 0.02
BORDER = 1 / 64  # standard deviation of the blended border, as a share of the longest side
PLACES = 8  # among which the one with the median contrast is taken: neither empty nor the richest


@dataclass(frozen=True)
class Part:
    """How parts of one size fared.

    Attributes:
        share: Of the area or volume.
        found: Share of the planted ones that are found.
        count: How many were planted.
    """

    share: float
    found: float
    count: int


def planted_parts(
    pixels: NDArray[np.float32],
    pool: RegionPool,
    sides: tuple[NDArray[np.int64], NDArray[np.int64]],
    null: NDArray[np.floating],
    count: int,
    *,
    track: Track = silent,
) -> list[Part]:
    """Plant parts of some images in others of the same pool, and look for them.

    Args:
        pixels: (M, *S) the images of the pool.
        pool: The same, ready to be searched.
        sides: Rows that parts are taken from, and rows of the bodies that receive them; a body's own patient is left
            out of the search, so that it matches nobody.
        null: What real images of new patients score.
        count: Parts of each size.
        track: Shows progress.

    Returns:
        One for each size, the largest first; empty where there are too few patients.
    """
    dim = pixels.ndim - 1
    rng = generator_for(0, "planted parts")
    owners = pool.owners.cpu().numpy()
    limit = float(np.quantile(null, 1 - FALSE))
    made, bodies, sources, sizes = [], [], [], []
    for share in SHARES[dim]:
        for _ in range(count):
            source = int(rng.choice(sides[0]))
            others = sides[1][owners[sides[1]] != owners[source]]
            if not len(others):
                return []
            body = int(rng.choice(others))
            made.append(plant_part(np.asarray(pixels[source]), np.asarray(pixels[body]), share, rng))
            bodies.append(owners[body])
            sources.append(owners[source])
            sizes.append(share)
    found = find_regions(np.stack(made), pool, owners=np.array(bodies), track=track)
    best = found.score.argmax(axis=1)
    rows = np.arange(len(made))
    right = owners[found.index[rows, best]] == np.array(sources)
    seen = right & (found.score[rows, best] > limit)
    return [
        Part(share, float(seen[np.array(sizes) == share].mean()), int(np.sum(np.array(sizes) == share)))
        for share in SHARES[dim]
    ]


def parts_planted(dim: int, null_images: int | None) -> int:
    """Parts of each size that a run or audit plants: few where few null scores are asked for, as in preset smoke.

    Args:
        dim: Of the images, 2 or 3.
        null_images: Real images that are searched as if they were new patients', at most; None for as many as serve.

    >>> parts_planted(2, 1024), parts_planted(3, None), parts_planted(2, 64)
    (20, 8, 4)
    """
    return COUNT[dim] if null_images is None else min(COUNT[dim], max(2, null_images // 16))


def smallest_found(parts: list[Part]) -> float | None:
    """The smallest share that is found in 80% of cases, as every larger one is; None where not even the largest is.

    >>> smallest_found([Part(0.5, 1.0, 20), Part(0.25, 0.85, 20), Part(0.125, 0.6, 20)])
    0.25
    """
    smallest = None
    for part in sorted(parts, key=lambda one: -one.share):
        if part.found < FOUND:
            break
        smallest = part.share
    return smallest


def plant_part(
    source: NDArray[np.float32], body: NDArray[np.float32], share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A body (*S) that bears a part of another image, in its place.

    Half an image is cut along one axis; smaller parts have the proportions of the image.
    """
    shape, dim = source.shape, source.ndim
    mask = np.zeros(shape, dtype=np.float32)
    if share >= 0.5:
        axis = int(rng.integers(dim))
        middle = shape[axis] // 2
        side = slice(0, middle) if rng.integers(2) else slice(middle, None)
        mask[tuple(side if k == axis else slice(None) for k in range(dim))] = 1
    else:
        size = [max(2, round(side * share ** (1 / dim))) for side in shape]
        tried = []
        for _ in range(PLACES):
            first = [int(rng.integers(side - one + 1)) for side, one in zip(shape, size, strict=True)]
            box = tuple(slice(start, start + one) for start, one in zip(first, size, strict=True))
            tried.append((float(source[box].std()), box))
        mask[sorted(tried, key=lambda one: one[0])[PLACES // 2][1]] = 1
    return borne(source, body, mask, rng)


def borne(
    source: NDArray[np.float32], body: NDArray[np.float32], mask: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """A body (*S) that bears what a mask (*S) of 0 and 1 cuts out of another image, turned a little, with noise."""
    shape, dim = source.shape, source.ndim
    # the border is blended inside the part, so that no more than the part is planted
    soft = np.where(mask > 0, np.clip(2 * gaussian_filter(mask, BORDER * max(shape)) - 1, 0, 1), 0)
    turned = rotate(
        source, float(rng.uniform(-TURN, TURN)), axes=(dim - 2, dim - 1), reshape=False, order=1, mode="nearest"
    )
    mixed = turned * soft + body * (1 - soft) + rng.normal(0, NOISE, shape)
    planted: NDArray[np.float32] = np.clip(mixed, 0, 1).astype(np.float32)
    return planted
