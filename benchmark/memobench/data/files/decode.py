"""One door to all readers: a header, raw values, or a picture, of whatever a file is; every failure has its reason."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from memobench.data.files.kinds import RASTER, kind_of
from memobench.data.files.limits import MAX_IMAGE_GIB, gib
from memobench.data.files.picture import Header, Picture, Raw, Unreadable, picture

_LONGEST = 200  # characters of another library's message
_LIMIT = gib(MAX_IMAGE_GIB)
Scale = Callable[[Raw], Picture]


def header(file: Path, limit: int = _LIMIT) -> Header | None:
    """What a file says about itself; None for a DICOMDIR, which is passed over.

    Args:
        file: Any file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is no image, or a broken one.
    """
    try:
        kind = kind_of(file)
        if kind in RASTER:
            from memobench.data.files import raster

            return raster.header(file, limit)
        if kind == "DICOM":
            from memobench.data.files import dicom

            return dicom.header(file, limit)
        if kind == "NIfTI":
            from memobench.data.files import nifti

            return nifti.header(file, limit)
        from memobench.data.files import arrays

        return arrays.header(file, limit)
    except Unreadable:
        raise
    except Exception as error:  # broken files make the libraries raise whatever comes, down to struct.error
        raise Unreadable(_reason(error)) from error


def read(files: Sequence[Path], frame: int | None, dim: int, limit: int = _LIMIT) -> Raw:
    """The values of the image or volume that one or more files hold, before they are scaled.

    Args:
        files: One file, or the slices of a DICOM series in order.
        frame: The image of a file of several; None for the only one.
        dim: 2 or 3.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is broken.
    """
    return _read(files, frame, dim, limit)[0]


def _read(files: Sequence[Path], frame: int | None, dim: int, limit: int) -> tuple[Raw, str]:
    """As :func:`read`, with the kind of file."""
    try:
        kind = kind_of(files[0])
        if kind in RASTER:
            from memobench.data.files import raster

            return raster.read(files[0], frame, dim, limit), kind
        if kind == "DICOM":
            from memobench.data.files import dicom

            return dicom.read(files, frame, dim, limit), kind
        if kind == "NIfTI":
            from memobench.data.files import nifti

            return nifti.read(files[0], limit), kind
        from memobench.data.files import arrays

        return arrays.read(files[0], frame, dim, limit), kind
    except Unreadable:
        raise
    except Exception as error:  # see header
        raise Unreadable(_reason(error)) from error


def decode(files: Sequence[Path], frame: int | None, dim: int, limit: int = _LIMIT, scale: Scale = picture) -> Picture:
    """As :func:`read`, scaled to [0, 1], by its own percentiles unless ``scale`` says otherwise.

    Raises:
        Unreadable: It is broken, or its values are no image.
    """
    raw, kind = _read(files, frame, dim, limit)
    try:
        return replace(scale(raw), kind=kind)
    except MemoryError as error:
        raise Unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "takes more memory than there is"
    if isinstance(error, (EOFError, zlib.error, zipfile.BadZipFile)):
        return f"is cut short or damaged, perhaps an unfinished download ({_short(error)})"
    return f"cannot be read ({_short(error)})"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
