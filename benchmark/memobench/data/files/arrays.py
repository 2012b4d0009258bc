"""NPY and NPZ: one array a file, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.data.files.picture import Header, Picture, Unreadable, grey, picture
from memobench.data.folder import read_npz

_CHANNELS = (3, 4)


def header(file: Path) -> Header:
    """The shape, without axes of length one at either end and without channels of colour.

    Raises:
        Unreadable: The array is neither 2D nor 3D.
    """
    shape = _trimmed(_load(file)).shape
    if len(shape) == 3 and shape[-1] in _CHANNELS:
        shape = shape[:2]
    if len(shape) not in (2, 3):
        raise Unreadable(f"holds an array of shape {'x'.join(map(str, shape))}; save each image or volume on its own")
    return Header(shape, dim=len(shape))


def decode(file: Path) -> Picture:
    """The image (H, W) or volume (D, H, W); an array (H, W, 3 or 4) is a colour image.

    Raises:
        Unreadable: The values are no image.
    """
    values = _trimmed(_load(file))
    colour = False
    if values.ndim == 3 and values.shape[-1] in _CHANNELS:
        values, colour = grey(values)
    return picture(values, colour=colour)


def _load(file: Path) -> NDArray[Any]:
    with file.open("rb") as handle:
        is_npy = handle.read(6) == b"\x93NUMPY"
    return np.load(file, mmap_mode="r", allow_pickle=False) if is_npy else read_npz(file)


def _trimmed(values: NDArray[Any]) -> NDArray[Any]:
    """Without axes of length one before or behind: (1, H, W) and (H, W, 1) are images."""
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    return values
