"""NIfTI (.nii, .nii.gz), by nibabel, in one orientation whatever the file's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from memobench.data.files.picture import Header, Picture, Unreadable, grey, picture

_TARGET = orientations.axcodes2ornt(("S", "P", "L"))


def header(file: Path) -> Header:
    """The shape; a volume of one slice is an image.

    Raises:
        Unreadable: It is 4D (several volumes), or has fewer than two axes.
    """
    image = _open(file)
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise Unreadable(
            f"is {len(shape)}D ({'x'.join(map(str, shape))}: several volumes in one file); save each volume on its own"
        )
    if len(shape) < 2:
        raise Unreadable(f"has {len(shape)} axes, so it is no image")
    outline = np.broadcast_to(np.uint8(0), (*shape, *[1] * (3 - len(shape))))
    drawn = _drawn(oriented(outline, image.affine)).shape
    return Header(drawn, dim=len(drawn))


def decode(file: Path) -> Picture:
    """The image or volume, its axes running to the patient's superior, posterior and left (see :func:`oriented`).

    An image of one slice is shown as a viewer shows it: a coronal or sagittal one head up.

    Raises:
        Unreadable: The affine has no orientation, or the values are no image.
    """
    image = _open(file)
    values = np.asanyarray(image.dataobj)
    colour = False
    if values.dtype.names:  # the types RGB24 and RGBA32
        values, colour = grey(np.stack([values[name] for name in values.dtype.names[:3]], axis=-1))
    values = values.reshape((*values.shape[:3], *[1] * (3 - values.ndim)))
    return picture(_drawn(oriented(values, image.affine)), colour=colour)


def oriented(values: NDArray[Any], affine: NDArray[np.floating]) -> NDArray[Any]:
    """Permute and mirror the axes of a volume so that they run nearest to superior, posterior and left.

    That is the order of an axial DICOM series sorted upwards, so that the same scan comes out the same from either
    format. Nothing is interpolated.

    Args:
        values: (A, B, C).
        affine: (4, 4) from indices to mm in RAS+, as in NIfTI.

    Raises:
        Unreadable: The affine is singular.

    >>> oriented(np.zeros((5, 6, 7)), np.diag([1.0, 1.0, 1.0, 1.0])).shape
    (7, 6, 5)
    """
    own = orientations.io_orientation(affine)
    if np.isnan(own).any():
        raise Unreadable("has an affine without orientation (it is singular)")
    return np.asarray(orientations.apply_orientation(values, orientations.ornt_transform(own, _TARGET)))


def _drawn(values: NDArray[Any]) -> NDArray[Any]:
    """A volume as it is, and one of a single slice as an image, whose first axis runs downwards."""
    if values.shape.count(1) != 1:
        return values
    axis = values.shape.index(1)
    return values[0] if axis == 0 else values[::-1].squeeze(axis)


def _open(file: Path) -> Any:
    return nibabel.load(file)
