"""DICOM, by pydicom: rescaled, windowed, upright; single pictures, frames, and volumes of frames or of files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from memobench.data.files.nifti import oriented
from memobench.data.files.picture import Header, Picture, Place, Unreadable, grey, picture
from memobench.data.files.window import Window, first_number, window_of

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber"),
    *("Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient"),
    *("GridFrameOffsetVector", "PerFrameFunctionalGroupsSequence"),
]
_LAST = threading.local()

Vector = tuple[float, ...]


def header(file: Path) -> Header | None:
    """Shape, frames, ids and place, without decoding pixels; None for a DICOMDIR under any name, an index of files.

    A file of several frames looks like a volume where the frames have places in the patient, and like a film of
    images otherwise.

    Raises:
        Unreadable: It holds no picture (a report, a plan).
    """
    dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
    if str(getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID", "")) == _DIRECTORY:
        return None
    if not dataset.get("Rows") or not dataset.get("Columns"):
        kind = dataset.get("SOPClassUID")
        raise Unreadable(f"is DICOM without a picture ({UID(kind).name})" if kind else "is no whole DICOM file")
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    series = _text(dataset.get("SeriesInstanceUID"))
    place = None
    if frames == 1:
        number = first_number(dataset.get("InstanceNumber"))
        place = Place(
            _vector(dataset.get("ImagePositionPatient"), 3),
            _vector(dataset.get("ImageOrientationPatient"), 6),
            None if number is None else int(number),
            _text(dataset.get("SOPInstanceUID")),
        )
    placed = frames > 1 and (dataset.get("GridFrameOffsetVector") or _frame_place(dataset, 0)[0])
    return Header(
        shape=(int(dataset.Rows), int(dataset.Columns)),
        frames=frames,
        dim=3 if placed else 2,
        patient=_text(dataset.get("PatientID")),
        study=_text(dataset.get("StudyInstanceUID")),
        series=series if frames == 1 else "",
        place=place,
    )


def decode(files: Sequence[Path], frame: int | None, dim: int) -> Picture:
    """One frame as an image; or the slices of a volume, from the files of a series or the frames of one file.

    Where all slices share one window it is used; where they differ (each was windowed on its own) the volume is
    scaled as a whole, by its percentiles.

    Args:
        files: In the order of the slices.
        frame: The frame of a 2D image; None for the only one.
        dim: 2 or 3.

    Raises:
        Unreadable: It is compressed and no handler is installed, or the values are no image.
    """
    if dim == 2:
        dataset = _open(files[0]) if frame is None else _kept(files[0])
        return _picture([_slice(dataset, frame or 0)], dim)
    first = _open(files[0])
    if len(files) == 1:
        return _picture(*_frames(first))
    slices = [_slice(first, 0), *(_slice(_open(file), 0) for file in files[1:])]
    placed = _vector(first.get("ImagePositionPatient"), 3) is not None
    return _picture(slices, dim, _vector(first.get("ImageOrientationPatient"), 6) if placed else None)


@dataclass(frozen=True)
class _Slice:
    values: NDArray[Any]  # (H, W) in the modality's units, or luminances
    window: Window | None
    inverted: bool
    colour: bool


def _frames(dataset: Dataset) -> tuple[list[_Slice], int, Vector | None]:
    """All frames as a volume, sorted along the normal, and their orientation, where every frame has a place."""
    count = int(first_number(dataset.get("NumberOfFrames")) or 1)
    order, orientation = list(range(count)), None
    places = [_frame_place(dataset, frame) for frame in order]
    if len({place[1] for place in places}) == 1 and places[0][1] and all(place[0] for place in places):
        orientation = places[0][1]
        distance = [along(position or (), orientation) for position, _ in places]
        order.sort(key=distance.__getitem__)
    return [_slice(dataset, frame) for frame in order], 3, orientation


def _slice(dataset: Dataset, frame: int) -> _Slice:
    values = pixel_array(dataset, index=frame)
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        values, colour = grey(values)
        return _Slice(values, None, False, colour)
    modality = _of_frame(dataset, frame, "PixelValueTransformationSequence")
    rescaled = apply_modality_lut(values, modality)
    window = window_of(dataset, _of_frame(dataset, frame, "FrameVOILUTSequence"))
    return _Slice(rescaled, window, photometric == "MONOCHROME1", False)


def _picture(slices: list[_Slice], dim: int, orientation: Vector | None = None) -> Picture:
    first = slices[0]
    if len({one.values.shape for one in slices}) > 1:
        raise Unreadable("has slices of different size, so they are no volume")
    values = np.stack([one.values for one in slices]) if dim == 3 else first.values
    if orientation:
        values = oriented(values, _affine(orientation))
    colour = any(one.colour for one in slices)
    shared = first.window if all(one.window == first.window for one in slices) else None
    return picture(values, window=shared.apply if shared else None, inverted=first.inverted, colour=colour)


def _kept(file: Path) -> Dataset:
    """As :func:`_open`, and each thread keeps the file that it opened last, whose next frame it is likely to read."""
    status = file.stat()
    key = (file, status.st_mtime_ns, status.st_size)
    if getattr(_LAST, "key", None) != key:
        _LAST.dataset, _LAST.key = _open(file), key
    dataset: Dataset = _LAST.dataset
    return dataset


def _open(file: Path) -> Dataset:
    """The whole file, ready to be decoded.

    Raises:
        Unreadable: It has no pixels, or is compressed and no handler is installed.
    """
    dataset = pydicom.dcmread(file, force=True)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise Unreadable("is DICOM without pixels")
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    _demand_handler(meta.TransferSyntaxUID)
    return dataset


def _demand_handler(syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError as error:
        raise Unreadable(f"is stored as {syntax.name}, for which no decoder exists; convert it") from error
    if not available:
        handler = (
            "pip install pylibjpeg pylibjpeg-openjpeg"
            if "2000" in syntax.name
            else "pip install python-gdcm (BSD), or pylibjpeg pylibjpeg-libjpeg (GPL-3.0)"
        )
        raise Unreadable(
            f'is compressed ({syntax.name}); install its handler: {handler}, or pip install "memobench[dicom]" for all'
        )


def _of_frame(dataset: Dataset, frame: int, name: str) -> Dataset:
    """Where the attributes of a frame stand: its own functional group, the shared one, or the file."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (*groups[frame : frame + 1], *shared[:1]):
        if group.get(name):
            item: Dataset = group[name].value[0]
            return item
    return dataset


def _frame_place(dataset: Dataset, frame: int) -> tuple[Vector | None, Vector | None]:
    position = _of_frame(dataset, frame, "PlanePositionSequence")
    orientation = _of_frame(dataset, frame, "PlaneOrientationSequence")
    if position is dataset:  # the file's own position is that of its first frame only
        return None, None
    return _vector(position.get("ImagePositionPatient"), 3), _vector(orientation.get("ImageOrientationPatient"), 6)


def along(position: Sequence[float], orientation: Sequence[float]) -> float:
    """How far a slice stands along the normal of its plane, in mm (PS3.3, C.7.6.2.1.1).

    >>> along((0, 0, 7), (1, 0, 0, 0, 1, 0))
    7.0
    """
    return float(np.dot(np.cross(orientation[:3], orientation[3:]), position))


def _affine(orientation: Vector) -> NDArray[np.floating]:
    """(4, 4) from indices (slice, row, column) to directions in RAS+, the slices sorted along their normal."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    affine = np.eye(4)
    affine[:3, :3] = np.stack([np.cross(row, column), column, row], axis=1)
    affine[:2] *= -1  # DICOM's axes are LPS+
    return affine


def _vector(value: Any, length: int) -> Vector | None:
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != length:
        return None
    vector = tuple(float(number) for number in value)
    return vector if np.isfinite(vector).all() else None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip(" \0")
