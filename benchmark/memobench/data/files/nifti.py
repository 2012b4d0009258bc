"""NIfTI (.nii, .nii.gz), by nibabel, in one orientation whatever the file's own."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from memobench.data.files.limits import DEFLATE, check_size, product
from memobench.data.files.picture import Header, Raw, Unreadable, grey

_EXTENSIONS = 2**26  # bytes of extensions before the values
_OURS = threading.local()
logging.getLogger("nibabel.global").addFilter(lambda record: not getattr(_OURS, "reading", False))
_TARGET = orientations.axcodes2ornt(("S", "P", "L"))


def header(file: Path, limit: int) -> Header:
    """The shape; a volume of one slice is an image.

    Args:
        file: A NIfTI file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is 4D (several volumes), has fewer than two axes, or declares what cannot be.
    """
    _check(file, limit)
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
    return Header(drawn, dim=len(drawn), doubts=_doubts(image))


def examine(file: Path, handle: BinaryIO, limit: int) -> tuple[Header, None]:
    """As :func:`header`; the file is to be read again, since it is likely to hold a volume.

    Raises:
        Unreadable: As :func:`header`.
    """
    return header(file, limit), None


def read(files: Sequence[Path], frame: int | None, dim: int, limit: int) -> Raw:
    """The image or volume, its axes running to the patient's superior, posterior and left (see :func:`oriented`).

    An image of one slice is shown as a viewer shows it: a coronal or sagittal one head up.

    Args:
        files: A NIfTI file.
        frame: Is not used.
        dim: Is not used.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is damaged, or the affine has no orientation.
    """
    image = _whole(files[0], limit)
    values, colour = _values(image)
    if values.ndim > 3:
        raise Unreadable(f"is {values.ndim}D; save each volume on its own")
    drawn = _drawn(oriented(values, image.affine))
    return Raw(drawn, spacing_of(image.affine) if drawn.ndim == 3 else None, colour=colour)


def read_first(file: Path, limit: int) -> Raw:
    """As :func:`read`, and of a 4D file (channels, times) the first volume.

    Raises:
        Unreadable: It is damaged, or the affine has no orientation.
    """
    image = _whole(file, limit)
    values, colour = _values(image)
    while values.ndim > 3:
        values = values[..., 0]
    return Raw(oriented(values, image.affine), spacing_of(image.affine), colour=colour)


def read_pair(file: Path, limit: int) -> Raw:
    """A volume in two files, ``.img`` with its values and ``.hdr``; Analyze or NIfTI.

    Args:
        file: The ``.img``.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It declares more than is allowed or than is there.
    """
    image = _open(file)
    declared = product(image.shape) * image.get_data_dtype().itemsize
    check_size(declared, limit)
    if declared > file.stat().st_size:
        raise Unreadable(f"is cut short: its header declares {declared} bytes, the file has {file.stat().st_size}")
    values, colour = _values(image)
    while values.ndim > 3:
        values = values[..., 0]
    return Raw(oriented(values, image.affine), spacing_of(image.affine), colour=colour)


def _values(image: Any) -> tuple[NDArray[Any], bool]:
    """The array with at least three axes, those of length one behind left out, and whether it was in colour."""
    values, colour = np.asanyarray(image.dataobj), False
    if values.dtype.names:  # the types RGB24 and RGBA32
        values, colour = grey(np.stack([values[name] for name in values.dtype.names[:3]], axis=-1))
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return values.reshape((*values.shape, *[1] * (3 - values.ndim))), colour


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


def spacing_of(affine: NDArray[np.floating]) -> tuple[float, ...] | None:
    """Millimetres between neighbours along the axes that :func:`oriented` gives; None where an affine has none.

    >>> spacing_of(np.diag([1.0, 2.0, 3.0, 1.0]))
    (3.0, 2.0, 1.0)
    """
    steps = np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(axis=0))
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        return None
    own = orientations.io_orientation(affine)
    world = {int(axis): float(step) for (axis, _), step in zip(own, steps, strict=True) if not np.isnan(axis)}
    return tuple(world[axis] for axis in (2, 1, 0)) if len(world) == 3 else None


def _drawn(values: NDArray[Any]) -> NDArray[Any]:
    """A volume as it is, and one of a single slice as an image, whose first axis runs downwards."""
    if values.shape.count(1) != 1:
        return values
    axis = values.shape.index(1)
    return values[0] if axis == 0 else values[::-1].squeeze(axis)


def _doubts(image: Any) -> tuple[str, ...]:
    """What a header leaves open of the orientation: sform and qform disagree, or neither is said."""
    steps = np.asarray(image.header["pixdim"][1:4], dtype=np.float64)
    if not (steps > 0).all():
        return (
            *_doubts_of_place(image),
            "pixdim has a step that is not above 0, of which nibabel takes 1 or the size,",
        )
    return _doubts_of_place(image)


def _doubts_of_place(image: Any) -> tuple[str, ...]:
    sform, qform = (getattr(image, f"get_{name}")(coded=True)[0] for name in ("sform", "qform"))
    if sform is None and qform is None:
        return ("sform and qform say no orientation, and that of Analyze (to the left) was taken,",)
    if sform is not None and qform is not None:
        first, second = (orientations.io_orientation(one) for one in (sform, qform))
        if not np.array_equal(first, second, equal_nan=True):
            return ("sform and qform name different orientations, and the sform was taken,",)
    return ()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without nibabel's own lines on steps of 0 or below (taken as 1, or without their sign), which name no file."""
    _OURS.reading = True
    try:
        yield
    finally:
        _OURS.reading = False


def _open(file: Path) -> Any:
    with _quiet():
        image: Any = nibabel.load(file)
    if not hasattr(image, "affine"):
        raise Unreadable("is NIfTI without a place in space (CIFTI: surfaces, connections), not an image")
    return image


def _whole(file: Path, limit: int) -> Any:
    """The file, of which a compressed one is unpacked to its end, since only there its checksum stands."""
    declared = _check(file, limit)
    if not file.name.lower().endswith(".gz"):
        return _open(file)
    with gzip.open(file) as handle:
        content = handle.read(declared)
        if len(content) < declared:
            raise Unreadable(f"is cut short: its header declares {declared} bytes, it unpacks to {len(content)}")
        if handle.read(1):
            raise Unreadable(f"is at odds with its header, which declares {declared} bytes: it unpacks to more")
    kind: Any = nibabel.Nifti2Image if len(content) > 4 and 540 in _both_orders(content[:4]) else nibabel.Nifti1Image
    with _quiet():
        return kind.from_bytes(content)


def _check(file: Path, limit: int) -> int:
    """How many bytes a header declares with its values, compared with the limit and with the file.

    Raises:
        Unreadable: It is no header, it declares more than is allowed or than is there, or a lesser number than 1.
    """
    packed = file.name.lower().endswith(".gz")
    opened: Any = gzip.open if packed else open
    with opened(file, "rb") as handle:
        start = handle.read(540)
    orders = _both_orders(start[:4])
    if 348 in orders and len(start) >= 348:
        kind: Any = nibabel.Nifti1Header
    elif 540 in orders and len(start) >= 540:
        kind = nibabel.Nifti2Header
    else:
        raise Unreadable("is no NIfTI file: its header is missing or cut short")
    head = kind(start[: kind.sizeof_hdr], check=False)
    axes = int(head["dim"][0])
    if not 1 <= axes <= 7:
        raise Unreadable(f"is damaged: its header declares {axes} axes")
    shape = tuple(int(side) for side in head["dim"][1 : axes + 1])
    try:
        each = head.get_data_dtype().itemsize
    except Exception as error:  # nibabel's own, for codes that are no type
        raise Unreadable(f"is damaged: its header declares no known type of values ({head['datatype']})") from error
    pixels: int = product(shape) * int(each)
    stored = file.stat().st_size
    check_size(pixels, limit, stored if packed else None, DEFLATE)
    offset = float(head["vox_offset"])
    if not 0 <= offset <= _EXTENSIONS:
        raise Unreadable(f"is damaged: its header declares that values start at byte {offset:g}")
    declared: int = max(int(offset), int(kind.sizeof_hdr)) + pixels
    if not packed and declared > stored:
        raise Unreadable(f"is cut short: its header declares {declared} bytes, the file has {stored}")
    if not packed and declared < stored:
        raise Unreadable(f"is at odds with its header, which declares {declared} bytes: the file has {stored}")
    return declared


def _both_orders(start: bytes) -> tuple[int, int]:
    return int.from_bytes(start, "little"), int.from_bytes(start, "big")
