"""One door to all readers: a header, or a picture, of whatever a file is; every failure has its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memobench.data.files.kinds import RASTER, kind_of
from memobench.data.files.picture import Header, Picture, Unreadable

_LONGEST = 200  # characters of another library's message


def header(file: Path) -> Header | None:
    """What a file says about itself; None for a DICOMDIR, which is passed over.

    Raises:
        Unreadable: It is no image, or a broken one.
    """
    try:
        kind = kind_of(file)
        if kind in RASTER:
            from memobench.data.files import raster

            return raster.header(file)
        if kind == "DICOM":
            from memobench.data.files import dicom

            return dicom.header(file)
        if kind == "NIfTI":
            from memobench.data.files import nifti

            return nifti.header(file)
        from memobench.data.files import arrays

        return arrays.header(file)
    except Unreadable:
        raise
    except Exception as error:  # broken files make the libraries raise whatever comes, down to struct.error
        raise Unreadable(_reason(error)) from error


def decode(files: Sequence[Path], frame: int | None, dim: int) -> Picture:
    """The image or volume that one or more files hold.

    Args:
        files: One file, or the slices of a DICOM series in order.
        frame: The frame of a 2D image in a file of several; None for the only one.
        dim: 2 or 3.

    Raises:
        Unreadable: It is broken, or its values are no image.
    """
    try:
        kind = kind_of(files[0])
        if kind in RASTER:
            from memobench.data.files import raster

            return raster.decode(files[0], frame, dim)
        if kind == "DICOM":
            from memobench.data.files import dicom

            return dicom.decode(files, frame, dim)
        if kind == "NIfTI":
            from memobench.data.files import nifti

            return nifti.decode(files[0])
        from memobench.data.files import arrays

        return arrays.decode(files[0])
    except Unreadable:
        raise
    except Exception as error:  # see header
        raise Unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read ({text if len(text) <= _LONGEST else text[:_LONGEST] + '...'})"
