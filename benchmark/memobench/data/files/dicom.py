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
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian
from pydicom.uid import ImplicitVRLittleEndian as Implicit

from memobench.data.files import compression
from memobench.data.files.attributes import (
    OPTIONAL,
    Vector,
    number,
    odd,
    text,
    unreadable_rescale,
    value,
    vector,
    whole,
)
from memobench.data.files.classes import no_picture
from memobench.data.files.limits import check_size
from memobench.data.files.nifti import oriented, spacing_of
from memobench.data.files.picture import Header, Raw, Unreadable, grey
from memobench.data.files.places import NoVolume, Place, along, in_order, spread
from memobench.data.files.window import Window, window_of

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_DEMANDED = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation")
_DEMANDED_OF_INTEGERS = ("BitsStored", "PixelRepresentation")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *_DEMANDED,
    *_DEMANDED_OF_INTEGERS,
    *OPTIONAL,
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
]
_LAST = threading.local()


def header(file: Path, limit: int) -> Header | None:
    """Shape, frames, ids and places, without decoding pixels; None for a DICOMDIR under any name, an index of files.

    A file of several frames looks like a volume where the frames stand at different places in the patient, and like a
    film of images otherwise.

    Args:
        file: A DICOM file.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It holds no picture of a patient (a report, a segmentation), or declares what cannot be.
    """
    _check_deflated(file, limit)
    dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
    if str(getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID", "")) == _DIRECTORY:
        return None
    frames = _declared(dataset, file, limit)
    series = text(dataset, "SeriesInstanceUID")
    places = tuple(_place(dataset, frame, frames) for frame in range(frames)) if frames == 1 or _groups(dataset) else ()
    return Header(
        shape=(int(dataset.Rows), int(dataset.Columns)),
        frames=frames,
        dim=3 if frames > 1 and spread(places) > 1 else 2,
        patient=text(dataset, "PatientID"),
        study=text(dataset, "StudyInstanceUID"),
        series=series if frames == 1 else "",
        places=places,
        odd=odd(dataset),
    )


def read(files: Sequence[Path], frame: int | None, dim: int, limit: int) -> Raw:
    """One frame as an image; or the slices of a volume, from the files of a series or the frames of one file.

    Where all slices share one window it is used; where they differ (each was windowed on its own) the volume is
    scaled as a whole, by its percentiles.

    Args:
        files: In the order of the slices.
        frame: The frame of a 2D image; None for the only one.
        dim: 2 or 3.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: It is compressed and no decoder is installed, its pixel data are not what its header declares, or
            its frames are no volume.
    """
    if dim == 2:
        dataset = _open(files[0], limit) if frame is None else _kept(files[0], limit)
        return _raw([_slice(dataset, frame or 0)], dim)
    first = _open(files[0], limit)
    if len(files) == 1 and (whole(first, "NumberOfFrames") or 1) > 1:
        return _of_frames(first)
    slices = [_slice(first, 0)]
    place, last = _place(first, 0, 1), _place(first, 0, 1)
    for file in files[1:]:
        dataset = _open(file, limit)
        slices.append(_slice(dataset, 0))
        check_size(sum(one.values.nbytes for one in slices), 8 * limit)
        last = _place(dataset, 0, 1)
    if not place.known or not last.known:
        return _raw(slices, dim)
    return _raw(slices, dim, _affine(place, last, len(slices), _steps(first, 0)))


@dataclass(frozen=True)
class _Slice:
    values: NDArray[Any]  # (H, W) in the modality's units, or luminances
    window: Window | None
    inverted: bool
    colour: bool
    background: NDArray[np.bool_] | None
    unit_known: bool = True


def _of_frames(dataset: Dataset) -> Raw:
    """All frames as a volume, sorted along the normal; in the order of the file where nothing says places."""
    count = whole(dataset, "NumberOfFrames") or 1
    if not _groups(dataset):
        return _raw([_slice(dataset, frame) for frame in range(count)], 3)
    places = [_place(dataset, frame, count) for frame in range(count)]
    try:
        order, _ = in_order(places)
    except NoVolume as error:
        raise Unreadable(f"holds a series {error}") from error
    slices = [_slice(dataset, frame) for frame in order]
    if not all(place.known for place in places):
        return _raw(slices, 3)
    steps = _steps(dataset, order[0])
    return _raw(slices, 3, _affine(places[order[0]], places[order[-1]], count, steps))


def _slice(dataset: Dataset, frame: int) -> _Slice:
    compression.check_frame(dataset, frame)
    stored = compression.decoded(dataset, lambda: pixel_array(dataset, index=frame))
    photometric = text(dataset, "PhotometricInterpretation")
    values = apply_color_lut(stored, dataset) if photometric == "PALETTE COLOR" else stored
    if values.ndim == 3:
        values, colour = grey(values)
        return _Slice(values, None, False, colour, None)
    modality = _of_frame(dataset, frame, "PixelValueTransformationSequence")
    doubtful = unreadable_rescale(modality)
    window = None if doubtful else window_of(dataset, _of_frame(dataset, frame, "FrameVOILUTSequence"))
    rescaled = _rescaled(stored, modality)
    return _Slice(rescaled, window, photometric == "MONOCHROME1", False, _padding(dataset, stored), not doubtful)


def _rescaled(values: NDArray[Any], modality: Dataset) -> NDArray[Any]:
    """Values in the modality's units (PS3.3, C.11.1); an attribute that is missing changes nothing."""
    if value(modality, "ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(values, modality))
    slope, intercept = number(modality, "RescaleSlope"), number(modality, "RescaleIntercept")
    if slope is None and intercept is None:
        return values
    return values.astype(np.float64) * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where stored values are padding: PixelPaddingValue, or up to PixelPaddingRangeLimit (PS3.3, C.7.5.1.1.2)."""
    for name in ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue"):
        if stored.dtype.kind == "f" and name in dataset:
            found = value(dataset, name)
            return None if found is None else np.asarray(np.isnan(stored) if np.isnan(found) else stored == found)
    first = whole(dataset, "PixelPaddingValue")
    if first is None or stored.dtype.kind == "f":
        return None
    last = whole(dataset, "PixelPaddingRangeLimit")
    edges = [_as_stored(edge, dataset) for edge in (first, first if last is None else last)]
    return np.asarray((stored >= min(edges)) & (stored <= max(edges)))


def _as_stored(edge: int, dataset: Dataset) -> int:
    """A padding value by its bits, since its VR (US or SS) is often not that of the pixels."""
    bits, signed = int(dataset.BitsAllocated), bool(dataset.PixelRepresentation)
    turn: int = 2**bits
    if signed and edge >= turn // 2:
        return edge - turn
    return edge + turn if not signed and edge < 0 else edge


def _raw(slices: list[_Slice], dim: int, affine: NDArray[np.floating] | None = None) -> Raw:
    first = slices[0]
    if len({one.values.shape for one in slices}) > 1:
        raise Unreadable("has slices of different size, so they are no volume")
    if len({one.unit_known for one in slices}) > 1:
        raise Unreadable("belongs to a series in which RescaleSlope or RescaleIntercept of some slices cannot be read")
    if len({one.inverted for one in slices}) > 1:
        raise Unreadable("belongs to a series of which some slices are inverted (MONOCHROME1) and others are not")
    values = np.stack([one.values for one in slices]) if dim == 3 else first.values
    background = None
    if any(one.background is not None for one in slices):
        masks = [np.zeros(one.values.shape, bool) if one.background is None else one.background for one in slices]
        background = np.stack(masks) if dim == 3 else masks[0]
    spacing = None
    if affine is not None:
        values, spacing = oriented(values, affine), spacing_of(affine)
        background = None if background is None else oriented(background, affine)
    shared = first.window if all(one.window == first.window for one in slices) else None
    window = shared.apply if shared else None
    return Raw(values, spacing, window, first.inverted, any(one.colour for one in slices), background)


def _kept(file: Path, limit: int) -> Dataset:
    """As :func:`_open`, and each thread keeps the file that it opened last, whose next frame it is likely to read."""
    status = file.stat()
    key = (file, status.st_mtime_ns, status.st_size)
    if getattr(_LAST, "key", None) != key:
        _LAST.dataset, _LAST.key = _open(file, limit), key
    dataset: Dataset = _LAST.dataset
    return dataset


def _open(file: Path, limit: int) -> Dataset:
    """The whole file, ready to be decoded.

    Raises:
        Unreadable: It has no pixels, they are not as many as the header declares, or no decoder is installed.
    """
    _check_deflated(file, limit)
    dataset = pydicom.dcmread(file, force=True)
    if not any(name in dataset for name in ("PixelData", *_FLOATS)):
        raise Unreadable("is DICOM without pixels")
    _declared(dataset, file, limit)
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = Implicit if implicit else explicit
    dataset.PhotometricInterpretation = text(dataset, "PhotometricInterpretation").upper()
    if not whole(dataset, "NumberOfFrames") and "NumberOfFrames" in dataset:
        del dataset.NumberOfFrames  # empty, 0 or unreadable counts as missing
    compression.check_syntax(dataset)
    compression.check_length(dataset)
    return dataset


def _declared(dataset: Dataset, file: Path, limit: int) -> int:
    """The number of frames, after what the header declares was compared with the file's size.

    Raises:
        Unreadable: It is no picture of a patient, lacks what every picture has, or declares what cannot be.
    """
    kind = no_picture(dataset)
    if kind:
        raise Unreadable(f"is no picture of a patient ({kind})")
    if not value(dataset, "Rows") or not value(dataset, "Columns"):
        name = str(dataset.SOPClassUID.name) if text(dataset, "SOPClassUID") else ""
        raise Unreadable(f"is DICOM without a picture ({name})" if name else "is no whole DICOM file")
    floats = any(name in dataset for name in _FLOATS) or int(dataset.get("BitsAllocated") or 0) > 16
    for name in (*_DEMANDED, *(() if floats else _DEMANDED_OF_INTEGERS)):
        if value(dataset, name) is None:
            raise Unreadable(f"lacks {name}, without which its pixels cannot be read")
    frames: int = whole(dataset, "NumberOfFrames") or 1
    if frames < 0:
        raise Unreadable(f"declares {frames} frames; it is damaged")
    bits = int(dataset.BitsAllocated) * int(dataset.SamplesPerPixel)
    each = max(int(dataset.Rows) * int(dataset.Columns) * bits // 8, 1)
    stored = file.stat().st_size
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    ratio = compression.most(syntax) if syntax else 1
    check_size(each * frames, limit, None if ratio == 1 else stored, ratio)
    # Subsampled colour takes two thirds; how long the pixels are exactly is looked at when they are there.
    room = stored / compression.LEAST if compression.packed(syntax) else 1.5 * stored / each if ratio == 1 else frames
    if frames > room:
        raise Unreadable(
            f"declares {frames} frame(s) of {dataset.Rows}x{dataset.Columns}, which a file of {stored} bytes cannot "
            "hold; it is damaged"
        )
    groups = _groups(dataset)
    if groups and len(groups) != frames:
        raise Unreadable(f"declares {frames} frames and describes {len(groups)}; it is damaged")
    return frames


def _check_deflated(file: Path, limit: int) -> None:
    """Refuse a deflated file that unpacks to more than the limit, before pydicom unpacks it."""
    with file.open("rb") as handle:
        start = handle.read(1024)
        if DeflatedExplicitVRLittleEndian.encode() not in start:
            return
        handle.seek(0)
        meta = pydicom.filereader.read_preamble(handle, force=True) and pydicom.filereader._read_file_meta_info(handle)
        if meta and meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            compression.check_deflate(handle, limit)


def _groups(dataset: Dataset) -> Any:
    return value(dataset, "PerFrameFunctionalGroupsSequence")


def _of_frame(dataset: Dataset, frame: int, name: str) -> Dataset:
    """Where the attributes of a frame stand: its own functional group, the shared one, or the file."""
    groups = _groups(dataset) or []
    shared = value(dataset, "SharedFunctionalGroupsSequence") or []
    for group in (*groups[frame : frame + 1], *shared[:1]):
        found = value(group, name)
        if found:
            item: Dataset = found[0]
            return item
    return dataset


def _place(dataset: Dataset, frame: int, frames: int) -> Place:
    """Where a frame stands: its functional groups say so, or, of a file of one frame, the file itself."""
    position = _of_frame(dataset, frame, "PlanePositionSequence")
    orientation = _of_frame(dataset, frame, "PlaneOrientationSequence")
    content = _of_frame(dataset, frame, "FrameContentSequence")
    grouped = position is not dataset
    if not grouped and frames > 1:  # the file's own position is that of its first frame only
        return Place(number=whole(content, "InStackPositionNumber") if content is not dataset else None)
    return Place(
        vector(position, "ImagePositionPatient"),
        vector(orientation, "ImageOrientationPatient"),
        whole(dataset, "InstanceNumber") if frames == 1 else whole(content, "InStackPositionNumber"),
        text(dataset, "SOPInstanceUID") if frames == 1 else "",
    )


def _steps(dataset: Dataset, frame: int) -> Vector:
    """Millimetres between rows and between columns; 1 where the file does not say."""
    found = vector(_of_frame(dataset, frame, "PixelMeasuresSequence"), "PixelSpacing")
    return found if found and len(found) == 2 and min(found) > 0 else (1.0, 1.0)


def _affine(first: Place, last: Place, count: int, steps: Vector) -> NDArray[np.floating]:
    """(4, 4) from indices (slice, row, column) to mm in RAS+, without offset; the slices are sorted along it."""
    turned = first.orientation or ()
    row, column = np.array(turned[:3]), np.array(turned[3:])
    gap = (along(last.position or (), turned) - along(first.position or (), turned)) / max(count - 1, 1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([np.cross(row, column) * (gap or 1.0), column * steps[0], row * steps[1]], axis=1)
    affine[:2] *= -1  # DICOM's axes are LPS+
    return affine
