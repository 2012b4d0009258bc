"""Synthetic images that somebody made elsewhere, read as they are measured: of one shape, as 8-bit images.

The rules, the same for files and arrays:

- Values: one black and one white for all images. Unsigned 8 and 16 bit say them, floating point counts as 0 to 1, and
  whatever else is asked for (``value_range``); or ``"each"``: each image by its own percentile range, as real images of
  folders are read (:mod:`memobench.data.files.picture`).
- Shape: images of another shape are resampled to the task's by antialiased linear interpolation, each axis on its own:
  the whole image is kept and its aspect is not. Colour becomes its luminance.
- Depth: rounded to 8 bit, in which images are published, so that anybody can measure them again exactly. An 8-bit image
  of the task's shape is kept to the bit.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, UsageError
from memobench.base.progress import Track, silent
from memobench.data.arrays import Range, Reading, pixels_of
from memobench.data.files.archives import folder_of
from memobench.data.files.inspect import survey, usable
from memobench.data.files.picture import as_it_is, picture
from memobench.data.files.prepare import prepare
from memobench.data.hub import PREFIX, from_hub
from memobench.data.resample import resize

ValueRange = Range | Literal["each"] | Mapping[str, Range] | None
BITS = 8  # of an image's depth as it is published and measured
DIM = 0.25  # where the brightest of 16-bit images is darker than this, white was perhaps meant lower


@dataclass(frozen=True)
class Samples:
    """Synthetic images, ready to be measured.

    Attributes:
        pixels: (N, *S) float32, multiples of 1/255 in [0, 1].
        notes: How they were read.
    """

    pixels: NDArray[np.float32]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """See :func:`samples_digest`."""
        return samples_digest(self.pixels)

    def some(self, count: int | None, random: np.random.Generator) -> Samples:
        """So many of them, drawn at random and in their order; all for None.

        Raises:
            UsageError: There are fewer.
        """
        if count is None or count == len(self.pixels):
            return self
        if count > len(self.pixels):
            raise UsageError(
                f"there are {len(self.pixels)} samples, and {count} are asked for; give more, or leave it out"
            )
        chosen = np.sort(random.permutation(len(self.pixels))[:count])
        return Samples(
            self.pixels[chosen], (*self.notes, f"{count} of {len(self.pixels)} samples were drawn at random")
        )


def samples_from(
    source: str | Path,
    shape: tuple[int, ...],
    value_range: ValueRange = None,
    *,
    skip_unreadable: bool = False,
    track: Track = silent,
) -> Samples:
    """Read samples from a folder, an archive (zip, tar), one file (an NPZ of many), or ``hub:OWNER/NAME``.

    Args:
        source: Where they lie.
        shape: (H, W) or (D, H, W) to which they are brought.
        value_range: Black and white; see the module.
        skip_unreadable: Go on without files that cannot be used.
        track: Shows progress.

    Raises:
        DataError: A file cannot be used; the message names it, the reason and the fix.
    """
    root = from_hub(str(source), "dataset") if str(source).startswith(PREFIX) else Path(source)
    if not root.exists():
        raise DataError(f"there is no file or folder {root}; give a folder, an archive or an NPZ file of samples")
    if isinstance(value_range, Mapping):
        value_range = value_range.get("samples")
    scale = picture if value_range == "each" else partial(as_it_is, value_range=value_range)
    found = survey(folder_of(root), dim=len(shape), scale=scale, track=track)
    found = usable(found, root, skip_unreadable=skip_unreadable)
    notes = [f"{one.count} {one.kind} samples, {one.low:g} to {one.high:g}: {one.scaling}" for one in found.found]
    if found.unreadable:
        notes.append(f"{len(found.unreadable)} files that cannot be used were left out (--skip-unreadable)")
    notes += _dim(max((one.high for one in found.found), default=0.0), value_range)
    sizes = Counter(item.shape for item in found.items)
    return _measured(prepare(found, shape, track=track).pixels, sizes, shape, notes)


def samples_of(given: Any, shape: tuple[int, ...], value_range: ValueRange = None, axes: str | None = None) -> Samples:
    """Samples from Python.

    Args:
        given: What :func:`memobench.data.arrays.pixels_of` reads.
        shape: (H, W) or (D, H, W) to which they are brought.
        value_range: Black and white; see the module.
        axes: One letter per axis where the shape leaves doubt.

    Raises:
        DataError: They are no images, or have to be explained.
    """
    if isinstance(value_range, str):
        raise UsageError('value_range "each" is for files; give arrays in one range')
    pixels = pixels_of(given, "samples", Reading(value_range, axes))
    if len(pixels) and pixels.ndim - 1 != len(shape):
        raise DataError(
            f"the samples are {pixels.ndim - 1}D, and the real images {len(shape)}D; give {len(shape)}D ones"
        )
    return _measured(pixels, Counter({pixels.shape[1:]: len(pixels)}), shape, [])


def eight_bit(pixels: NDArray[np.floating]) -> NDArray[np.float32]:
    """Values in [0, 1] as those of 8-bit images.

    >>> eight_bit(np.array([0.1, 1.0])).tolist()
    [0.10196078568696976, 1.0]
    """
    found: NDArray[np.float32] = np.rint(np.asarray(pixels) * 255).astype(np.uint8).astype(np.float32) / np.float32(255)
    return found


def samples_digest(samples: NDArray[np.float32]) -> str:
    """SHA-256 over the shape, as a JSON list, and the values as little-endian float32 in C order.

    >>> samples_digest(np.zeros((1, 2, 2), np.float32)) == samples_digest(np.zeros((1, 4, 1), np.float32))
    False
    """
    sha = hashlib.sha256(json.dumps(list(samples.shape)).encode())
    sha.update(np.ascontiguousarray(samples, dtype="<f4").tobytes())
    return sha.hexdigest()


def brought_to(pixels: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(N, *S) images resampled to a shape and rounded to 8 bit, by the rules of the module."""
    if not len(pixels):
        return np.zeros((0, *shape), dtype=np.float32)
    return eight_bit(np.stack([resize(image, shape) for image in pixels]))


def _measured(
    pixels: NDArray[np.float32], sizes: Counter[tuple[int, ...]], shape: tuple[int, ...], notes: list[str]
) -> Samples:
    if not len(pixels):
        raise DataError("there are no samples; give at least one")
    others = sum(count for size, count in sizes.items() if size != shape)
    if others:
        size = next(iter(sizes)) if len(sizes) == 1 else None
        named = f"of {'x'.join(map(str, size))}" if size else f"of {len(sizes)} sizes"
        notes.append(f"samples {named} were resampled to {'x'.join(map(str, shape))}, whole and each axis on its own")
    return Samples(brought_to(pixels, shape), tuple(notes))


def _dim(brightest: float, value_range: ValueRange) -> list[str]:
    """Whether 16-bit values fill little of their range: then white was perhaps another value."""
    if value_range is not None or not 255 < brightest < DIM * 65535:
        return []
    return [f"the brightest of all values is {brightest:g} of 65535; where white is less, say so with --value-range"]
