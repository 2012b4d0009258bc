"""NPY and NPZ: an image, a volume, or a batch of them with their patients; never a pickle."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from memobench.data.files.limits import DEFLATE, check_size, product
from memobench.data.files.picture import Header, Raw, Unreadable, grey, type_limits

_CHANNELS = (3, 4)
_PATIENTS = ("patient_id", "patient_ids", "patient", "patients", "subject", "subjects", "subject_id", "subject_ids")
_IMAGES = ("vol", "images", "samples", "image", "arr_0", "volume", "volumes", "imgs", "img", "data", "x")
_MOST_MEMBERS = 10_000
_LOCK = threading.Lock()
_LAST: dict[str, Any] = {}


@dataclass(frozen=True)
class _Array:
    """One array of a file, by its header."""

    name: str  # "" in an NPY file
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool  # whether the first axis runs fastest
    start: int  # the byte behind the header

    @property
    def is_image(self) -> bool:
        return len(self.shape) >= 2 and self.dtype.kind in "biuf"


@dataclass(frozen=True)
class _Layout:
    """How an array holds images.

    Attributes:
        image: The shape of one image (H, W) or volume (D, H, W).
        count: How many there are.
        batch: Whether the first axis counts images.
        channel: The axis of colour within one image; None where it is grey.
    """

    image: tuple[int, ...]
    count: int = 1
    batch: bool = False
    channel: int | None = None


def header(file: Path, limit: int) -> Header:
    """The shape of one image or volume, and how many there are.

    An array (N, H, W) without more looks like a volume; where 2D images are asked for it is a batch of N. A further
    array whose name says patients names them, and makes it a batch too.

    Args:
        file: An NPY or NPZ file.
        limit: Bytes that are allowed.

    Raises:
        Unreadable: The array is no image, several could be meant, or a header declares what cannot be.
    """
    return _described(file, *_chosen(file, limit))


def examine(file: Path, handle: BinaryIO, limit: int) -> tuple[Header, Callable[[], Raw] | None]:
    """As :func:`header`, and how to read the only 2D image of a file; None where there is more.

    Args:
        file: An NPY or NPZ file.
        handle: The file, opened at its beginning.
        limit: Bytes that are allowed.

    Raises:
        Unreadable: As :func:`header`.
    """
    content = handle.read()
    found, patients = _chosen(file, limit, content)
    head = _described(file, found, patients)
    if len(head.shape) == 3 or head.frames > 1:
        return head, None
    whole = _of_content(found, content)
    return head, lambda: _image(_kept(file, found) if whole is None else whole, found, None, 2)


def _described(file: Path, found: _Array, patients: str | None) -> Header:
    layout = _layout(found.shape)
    planes = layout.image[0] if not layout.batch and len(layout.image) == 3 else 0
    names = _names(file, patients) if patients else ()
    if names and len(names) != (planes or layout.count):
        raise Unreadable(f"names {len(names)} patients ({patients}) for {planes or layout.count} images")
    if names and planes:
        return Header(layout.image[1:], planes, 2, patients=names, batch=True)
    return Header(
        layout.image, layout.count, len(layout.image), patients=names, batch=layout.batch, sliceable=bool(planes)
    )


def read(files: Sequence[Path], frame: int | None, dim: int, limit: int) -> Raw:
    """The image (H, W) or volume (D, H, W), or one of a batch; colour becomes its luminance.

    Args:
        files: An NPY or NPZ file.
        frame: Which of a batch; None for the only one.
        dim: 2 or 3.
        limit: Bytes that are allowed.

    Raises:
        Unreadable: The array is no image, or a header declares what cannot be.
    """
    found, _ = _chosen(files[0], limit)
    return _image(_kept(files[0], found), found, frame, dim)


def _of_content(found: _Array, content: bytes) -> NDArray[Any] | None:
    """The array of an NPY file; None of an NPZ file."""
    if found.name:
        return None
    values = np.frombuffer(content, found.dtype, product(found.shape), found.start)
    return values.reshape(found.shape, order="F" if found.fortran else "C")


def _image(whole: NDArray[Any], found: _Array, frame: int | None, dim: int) -> Raw:
    layout = _layout(found.shape)
    planes = frame is not None and not layout.batch and len(layout.image) == 3
    values = whole[frame] if layout.batch and frame is not None else whole
    depth = layout.image if layout.channel is None else _coloured(layout, found.shape)
    values = np.asarray(values).reshape(depth)
    if planes:
        values = values[frame]
    colour = False
    if layout.channel is not None:
        values, colour = grey(np.moveaxis(values, layout.channel, -1))
    if values.ndim != dim:
        raise Unreadable(f"holds an array of shape {_by(found.shape)}, which is no {dim}D image")
    return Raw(np.asarray(values), colour=colour, limits=type_limits(whole.dtype))


def read_row(file: Path, name: str, row: int, limit: int) -> Raw:
    """One row of a named array in an NPZ file of many images.

    Raises:
        Unreadable: There is no such array, or its header declares what cannot be.
    """
    found = next((one for one in _headers(file, limit) if one.name == name), None)
    if found is None:
        raise Unreadable(f"holds no array {name}")
    values, colour = np.asarray(_kept(file, found)[row]), False
    if values.ndim == 3 and values.shape[-1] in _CHANNELS:
        values, colour = grey(values)
    return Raw(values, colour=colour)


def _layout(shape: tuple[int, ...]) -> _Layout:
    """How an array of a shape holds images; axes of length one before and behind are left out.

    Raises:
        Unreadable: It does not.

    >>> _layout((12, 64, 64, 3)), _layout((12, 1, 64, 64)).count, _layout((5, 6, 7)).batch
    (_Layout(image=(64, 64), count=12, batch=True, channel=2), 12, False)
    """
    if len(shape) > 3 and shape[1] == 1:  # (N, 1, H, W) and (N, 1, D, H, W)
        inner = _layout(shape[2:])
        if not inner.batch:
            return _Layout(inner.image, shape[0], True, inner.channel)
    short = shape
    while len(short) > 2 and short[0] == 1:
        short = short[1:]
    while len(short) > 2 and short[-1] == 1:
        short = short[:-1]
    if len(short) == 2:
        return _Layout(short)
    if len(short) == 3:
        if short[-1] in _CHANNELS:
            return _Layout(short[:2], channel=2)
        return _Layout(short[1:], channel=0) if short[0] in _CHANNELS else _Layout(short)
    if len(short) == 4:
        inner = _layout(short[1:])
        if not inner.batch:
            return _Layout(inner.image, short[0], True, inner.channel)
    raise Unreadable(
        f"holds an array of shape {_by(shape)}; an image has 2 axes, a volume 3, and a batch of them one more, with "
        "one for colour"
    )


def _coloured(layout: _Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One image's shape with its axis of colour."""
    channels = product(shape) // (product(layout.image) * layout.count)
    return (*layout.image, channels) if layout.channel else (channels, *layout.image)


def _chosen(file: Path, limit: int, content: bytes | None = None) -> tuple[_Array, str | None]:
    """The array that holds images, and the name of the one that holds their patients.

    Raises:
        Unreadable: There is no such array, or several could be meant.
    """
    every = _headers(file, limit, content)
    patients = next((one.name for one in every if one.name.lower() in _PATIENTS and len(one.shape) == 1), None)
    images = [one for one in every if one.is_image]
    if len(images) > 1:
        named = [one for want in _IMAGES for one in images if one.name.lower() == want]
        images = named[:1] if named and named[0].name.lower() != "x" else images
    if len(every) == 1 and not images:
        one = every[0]
        if one.dtype.kind not in "biuf":
            raise Unreadable(f"holds values of type {one.dtype}, not real numbers")
        raise Unreadable(f"holds an array of shape {_by(one.shape)}; an image has 2 axes, a volume 3")
    if len(images) != 1:
        names = ", ".join(one.name for one in every[:8]) or "nothing"
        raise Unreadable(
            f"holds {names}, and which is the image is not said; keep one array, or name one vol or images"
        )
    return images[0], patients


def _headers(file: Path, limit: int, content: bytes | None = None) -> list[_Array]:
    """The arrays of a file, by their headers, compared with the limit and with the file's size.

    Args:
        file: An NPY or NPZ file.
        limit: Bytes that are allowed.
        content: All of it, where it has been read.

    Raises:
        Unreadable: A header declares what cannot be.
    """
    stored = file.stat().st_size if content is None else len(content)
    with file.open("rb") if content is None else io.BytesIO(content) as handle:
        if handle.read(6) == b"\x93NUMPY":
            handle.seek(0)
            found = _header(handle, "")
            declared = product(found.shape) * found.dtype.itemsize
            check_size(declared, limit)
            if found.start + declared != stored:
                raise Unreadable(
                    f"is damaged: its header declares {found.start + declared} bytes, the file has {stored}"
                )
            return [found]
    every = []
    with zipfile.ZipFile(file if content is None else io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise Unreadable(f"holds {len(members)} arrays, more than {_MOST_MEMBERS}")
        for member in members:
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as opened:
                found = _header(opened, member.filename.removesuffix(".npy"))
            declared = product(found.shape) * found.dtype.itemsize
            if declared:
                check_size(declared, limit, max(member.compress_size, 1), DEFLATE)
            if found.start + declared != member.file_size:
                raise Unreadable(
                    f"is damaged: {found.name} declares {found.start + declared} bytes and has {member.file_size}"
                )
            every.append(found)
    return every


def _header(handle: Any, name: str) -> _Array:
    version = npy.read_magic(handle)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise Unreadable(f"is NPY of a version that is not known ({version[0]}.{version[1]})")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(handle)
    if dtype.hasobject:
        raise Unreadable("holds Python objects (a pickle), which are never loaded; save numbers")
    return _Array(name, tuple(int(side) for side in shape), dtype, fortran, handle.tell())


def _names(file: Path, name: str) -> tuple[str, ...]:
    with np.load(file, allow_pickle=False) as archive:
        return tuple(str(one).strip() for one in archive[name].tolist())


def _kept(file: Path, found: _Array) -> NDArray[Any]:
    """An array, mapped from NPY, or unpacked from NPZ once for all of its images."""
    if not found.name:
        mapped: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return mapped
    status = file.stat()
    key = (file, found.name, status.st_mtime_ns, status.st_size)
    with _LOCK:  # the first thread unpacks it, the others find it
        if _LAST.get("key") != key:
            _LAST.clear()
            with np.load(file, allow_pickle=False) as archive:
                _LAST.update(key=key, array=archive[found.name])
        array: NDArray[Any] = _LAST["array"]
    return array


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
