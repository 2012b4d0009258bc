"""Images that are nearly the same: shrunk and band-passed for comparison; and patients who seem to be one person.

One person under two ids (exported twice, compressed again, de-identified by two tools) spoils what rests on patients
being different: a threshold that other patients set is then set by the person's own image, and a holdout that holds a
training patient excuses every copy of him. Images of different people differ by far more than such exports do. Volumes
are compared more coarsely than images, so other patients' come nearer, and the limit is higher.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

SIDE = {2: 32, 3: 16}  # pixels of the longest side at which images are compared
BAND = (0.5, 4.0)  # standard deviations of the two Gaussian blurs, in those pixels
FLAT = 1e-6  # spread of a band-passed image that shows nothing
SAME = {2: 0.97, 3: 0.996}  # correlation from which on two images may be one, by their dimension,
NEARER = 0.2  # if they differ by less than this share of what an image and the tenth of its neighbours do
NEIGHBOURS = 10
BLOCK = 512


def banded(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K) shrunk, band-passed images of length one, whose products are correlations."""
    shape = pixels.shape[1:]
    factor = min(1.0, SIDE[len(shape)] / max(shape))
    out = []
    for image in np.asarray(pixels, dtype=np.float32):
        small = image
        if factor < 1:  # blurred first, so that noise is averaged and not sampled
            small = zoom(gaussian_filter(image, 0.4 / factor), factor, order=1)
        band = (gaussian_filter(small, BAND[0]) - gaussian_filter(small, BAND[1])).ravel()
        band = band - band.mean()
        length = float(np.linalg.norm(band))
        flat = length < FLAT * np.sqrt(band.size)
        out.append(np.full(band.size, 1 / np.sqrt(band.size), dtype=np.float32) if flat else band / length)
    return np.stack(out).astype(np.float32)


def nearly_same(pixels: NDArray[np.float32], patients: NDArray[np.str_]) -> list[tuple[int, int]]:
    """Pairs of images of different patients that are nearly the same.

    They correlate strongly, and differ by far less than images of this set usually do from their nearest ones; so sets
    in which all patients look similar have no such pairs.

    Args:
        pixels: (N, *S) images in [0, 1], 2D or 3D; time is N squared.
        patients: (N,) whose each is.

    Returns:
        (a, b) with a < b, in order; of each b the first such a.
    """
    count = len(pixels)
    if count < 2:
        return []
    rows = np.concatenate([banded(pixels[start : start + BLOCK]) for start in range(0, count, BLOCK)])
    shows = np.ptp(rows, axis=1) > 0
    _, owner = np.unique(patients, return_inverse=True)  # numbers compare faster than names
    asked = np.arange(0, count, -(-count // BLOCK))
    found = rows[asked] @ rows.T
    found[(owner[asked, None] == owner) | ~shows] = -1
    tenth = min(NEIGHBOURS, count - 1)
    usual = float(np.median(np.partition(found, -tenth, axis=1)[:, -tenth]))
    least = max(SAME[pixels.ndim - 1], 1 - NEARER * (1 - usual))
    first = np.full(count, -1)  # the earlier image that each repeats
    for start in range(0, count, BLOCK):
        close = np.triu(rows[start : start + BLOCK] @ rows[start:].T >= least, 1)
        close &= (owner[start : start + BLOCK, None] != owner[start:]) & shows[start:]
        close &= shows[start : start + BLOCK, None]
        new = np.flatnonzero(close.any(axis=0) & (first[start:] < 0))
        first[start + new] = start + close[:, new].argmax(axis=0)
    return sorted((int(first[b]), b) for b in np.flatnonzero(first >= 0).tolist())


def persons(patients: NDArray[np.str_], pairs: Sequence[tuple[int, int]]) -> dict[str, str]:
    """For each patient of some pair, the first in order of all whom pairs join.

    Args:
        patients: (N,) the patient of each image.
        pairs: Indices of images that are of one person.

    >>> persons(np.array(["a", "b", "c", "d"]), [(0, 1), (1, 2)])
    {'a': 'a', 'b': 'a', 'c': 'a'}
    """
    parent: dict[str, str] = {}

    def first(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    for a, b in pairs:
        low, high = sorted((first(str(patients[a])), first(str(patients[b]))))
        parent[high] = low
        parent.setdefault(low, low)
    return {name: first(name) for name in sorted(parent)}
