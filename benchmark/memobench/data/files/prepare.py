"""The images of inspected folders on common ground: one shape, float32 in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, UsageError
from memobench.base.progress import silent
from memobench.base.words import Size, spell_size
from memobench.data.files.decode import decode
from memobench.data.files.inspect import Inspection, Item, Track, threaded
from memobench.data.files.picture import Unreadable
from memobench.data.files.walk import shown
from memobench.data.resample import resize
from memobench.images import Images
from memobench.task import SHORTEST, STEP

LIMITS = {2: (32, 64), 3: (16, 32)}  # smallest and largest side where none is asked for
_COMPARED = 256  # images whose median shows the contrast of a set
_OPPOSED = -0.65


def common_shape(inspections: Sequence[Inspection], size: Size | None = None) -> tuple[int, ...]:
    """The shape to which several folders are brought: a square or a cube, unless other sides are asked for.

    Its side is the median over all sides of all images, rounded to a multiple of 8, at least 32 and at most 64 in 2D,
    at least 16 and at most 32 in 3D; or the size that is asked for. The whole image is kept and its aspect is not;
    millimetres per pixel are not regarded.

    Args:
        inspections: Of all folders that are to be compared.
        size: Side length in pixels, a multiple of 8; or all sides, (H, W) or (D, H, W), each at least 8.

    Raises:
        UsageError: The size is no such multiple, a side is too short, or there are more or fewer than the images have.
        DataError: There is no image, or the folders hold images of different dimension.
    """
    filled = [found for found in inspections if found.items]
    if not filled:
        raise DataError("there is no image to be compared; give folders of images")
    dims = {found.dim for found in filled}
    if len(dims) > 1:
        each = ", ".join(f"{shown(found.root.name)} {found.dim}D" for found in filled)
        raise DataError(f"the folders hold images of different dimension ({each}); give --dim 2 or --dim 3")
    dim = dims.pop()
    if size is not None:
        return _asked(size, dim)
    sides = [side for found in filled for item in found.items for side in item.shape]
    low, high = LIMITS[dim]
    return (min(max(round(float(np.median(sides)) / STEP) * STEP, low), high),) * dim


def _asked(size: Size, dim: int) -> tuple[int, ...]:
    """The shape that is asked for."""
    if isinstance(size, int):
        if size < STEP or size % STEP:
            raise UsageError(f"--size {size} is no multiple of {STEP}; give {LIMITS[dim][1]} for example")
        return (size,) * dim
    if len(size) != dim:
        raise UsageError(
            f"--size {spell_size(size)} has {len(size)} sides, and the images have {dim}; give "
            f"{spell_size((LIMITS[dim][1],) * dim)} for example"
        )
    if min(size) < SHORTEST:
        near = tuple(max(side, SHORTEST) for side in size)
        raise UsageError(f"--size {spell_size(size)} has a side below {SHORTEST}; the nearest is {spell_size(near)}")
    return size


def prepare(inspection: Inspection, shape: tuple[int, ...], *, track: Track = silent) -> Images:
    """Read every image again and bring it to a shape, by antialiased linear interpolation along each axis.

    How values become [0, 1] is said in :mod:`memobench.data.files.picture`.

    Args:
        inspection: Of the folder.
        shape: (H, W) or (D, H, W), of the folder's dimension.
        track: Shows progress.

    Returns:
        One image per item, in the order of the items.

    Raises:
        DataError: The shape has another dimension, or a file can no longer be read.
    """
    if len(shape) != inspection.dim:
        raise DataError(
            f"{shown(str(inspection.root))} holds {inspection.dim}D images, which cannot become {len(shape)}D; give a "
            f"shape of {inspection.dim} sides"
        )
    pixels = np.empty((len(inspection.items), *shape), dtype=np.float32)
    jobs = list(zip(pixels, inspection.items, strict=True))
    threaded(partial(_fill, inspection), jobs, "preparing images", inspection.dim, track)
    patients = np.array([item.patient for item in inspection.items], dtype=np.str_)
    return Images(pixels, patients, np.array([item.scan for item in inspection.items], dtype=np.str_))


def contrast_agrees(a: Images, b: Images) -> bool:
    """Whether two sets show the same things bright, judged by their median images.

    They disagree where the median images are clearly opposed, with a correlation below -0.65: inverted halves of
    one set of X-ray, CT or MR images correlate between -0.8 and -0.99, sets of different anatomy above -0.55.

    Raises:
        DataError: The images have different shapes.
    """
    if a.shape != b.shape:
        raise DataError(f"images of shape {a.shape} and {b.shape} cannot be compared; prepare them at one shape")
    first, second = _median(a), _median(b)
    spread = float(np.linalg.norm(first) * np.linalg.norm(second))
    return spread == 0 or float(first @ second) / spread >= _OPPOSED


def _fill(inspection: Inspection, job: tuple[NDArray[np.float32], Item]) -> None:
    target, item = job
    try:
        files = [inspection.root / file for file in item.files]
        seen = decode(files, item.frame, inspection.dim, inspection.limit, inspection.scale)
    except Unreadable as error:
        raise DataError(f"{shown(item.file)} {error}; it was changed while it was looked at, start again") from error
    target[...] = resize(seen.pixels, target.shape)


def _median(images: Images) -> NDArray[np.float64]:
    """(P,) the median image less its mean, of at most 256 images evenly taken."""
    if not len(images):
        return np.zeros(int(np.prod(images.shape)))
    chosen = images.pixels[:: -(-len(images) // _COMPARED)]
    flat = np.median(chosen.reshape(len(chosen), -1), axis=0).astype(np.float64)
    return np.asarray(flat - flat.mean())
