"""One door to all readers: a header, raw values, or a picture, of whatever a file is; every failure has its reason."""

from __future__ import annotations

import importlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from memobench.data.files.kinds import RASTER, kind_of
from memobench.data.files.limits import MAX_IMAGE_GIB, gib
from memobench.data.files.picture import Header, Picture, Raw, Unreadable, picture

_LONGEST = 200  # characters of another library's message
_LIMIT = gib(MAX_IMAGE_GIB)
Scale = Callable[[Raw], Picture]
_START = 352  # bytes by which a kind is known
_SMALL = 2**25  # bytes of a file that is read whole even if only its header may be needed


def header(file: Path, limit: int = _LIMIT) -> Header | None:
    """What a file says about itself; None for a DICOMDIR, which is passed over.

    Args:
        file: Any file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is no image, or a broken one.
    """
    with _reasons():
        head: Header | None = _reader(kind_of(file)).header(file, limit)
    return head


def examine(file: Path, limit: int = _LIMIT, scale: Scale = picture) -> tuple[Header | None, Picture | str | None]:
    """As :func:`header`, and of a file that can be nothing but one 2D image its picture, so that it is read once.

    Args:
        file: Any file.
        limit: Bytes of pixels that are allowed.
        scale: How values become [0, 1].

    Returns:
        The header, and the picture, or why there is none; None where the file is to be read again.

    Raises:
        Unreadable: It is no image, or a broken one.
    """
    with _reasons():
        if file.stat().st_size > _SMALL:
            return header(file, limit), None
        with file.open("rb") as handle:
            kind = kind_of(file, handle.read(_START))
            handle.seek(0)
            head, rest = _reader(kind).examine(file, handle, limit)
    if rest is None:
        return head, None
    try:
        with _reasons():
            return head, replace(scale(rest()), kind=kind)
    except Unreadable as error:
        return head, str(error)


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
    with _reasons():
        kind = kind_of(files[0])
        return _reader(kind).read(files, frame, dim, limit), kind


@cache
def _reader(kind: str) -> Any:
    """The module that reads files of a kind, loaded when it is needed."""
    name = {"DICOM": "dicom", "NIfTI": "nifti", **dict.fromkeys(RASTER, "raster")}.get(kind, "arrays")
    return importlib.import_module(f"memobench.data.files.{name}")


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a library raises into a reason.

    Raises:
        Unreadable: Something was raised.
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:  # broken files make the libraries raise whatever comes, down to struct.error
        raise Unreadable(_reason(error)) from error


def decode(files: Sequence[Path], frame: int | None, dim: int, limit: int = _LIMIT, scale: Scale = picture) -> Picture:
    """As :func:`read`, scaled to [0, 1], by its own percentiles unless ``scale`` says otherwise.

    Raises:
        Unreadable: It is broken, or its values are no image.
    """
    raw, kind = _read(files, frame, dim, limit)
    with _reasons():
        return replace(scale(raw), kind=kind)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "takes more memory than there is"
    if isinstance(error, (EOFError, zlib.error, zipfile.BadZipFile)):
        return f"is cut short or damaged, perhaps an unfinished download ({_short(error)})"
    return f"cannot be read ({_short(error)})"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
