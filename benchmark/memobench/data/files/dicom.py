"""DICOM, by pydicom: rescaled, windowed, upright; single pictures, frames, and volumes of frames or of files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut
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
from memobench.data.files.cells import stored_values
from memobench.data.files.classes import no_picture
from memobench.data.files.limits import check_size
from memobench.data.files.nifti import oriented, spacing_of
from memobench.data.files.picture import Header, Raw, Unreadable, grey
from memobench.data.files.places import NoVolume, Place, along, in_order, spread
from memobench.data.files.window import Units, Window, units_of, window_of

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_DEMANDED = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation")
_WORDS = ("PhotometricInterpretation",)  # among them
_DEMANDED_OF_INTEGERS = ("BitsStored", "PixelRepresentation")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    *_DEMANDED,
    *_DEMANDED_OF_INTEGERS,
    *OPTIONAL,
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
    *("ImageType", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue"),
    *("FrameIncrementPointer", "FrameTime", "FrameTimeVector", "SliceVector", "DetectorInformationSequence"),
    *("SpacingBetweenSlices", "TimeSlotVector", "PhaseVector", "RRIntervalVector", "EnergyWindowVector"),
    *("DetectorVector", "RotationVector", "AngularViewVector", "TimeSliceVector", "BurnedInAnnotation"),
]
# Where values tell volumes at one place apart: the word for it, the functional group ("" for the file) and attribute.
_SHOWS = (
    ("echoes", "", "EchoTime"),
    ("echoes", "MREchoSequence", "EffectiveEchoTime"),
    ("times", "", "TemporalPositionIdentifier"),
    ("times", "FrameContentSequence", "TemporalPositionIndex"),
    ("b-values", "", "DiffusionBValue"),
    ("b-values", "MRDiffusionSequence", "DiffusionBValue"),
    ("heart phases", "CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    ("stacks", "FrameContentSequence", "StackID"),
    ("kinds of image (ImageType)", "", "ImageType"),
    ("kinds of image (FrameType)", "MRImageFrameTypeSequence", "FrameType"),
    ("kinds of image (FrameType)", "CTImageFrameTypeSequence", "FrameType"),
)
_BURNED = "BurnedInAnnotation is YES, so a name or a number may stand in the picture itself,"
_IN_TIME = ("FrameTime", "FrameTimeVector")
_OF_SLICES = ("SliceVector", "GridFrameOffsetVector")
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
    return None if _is_directory(dataset) else _described(dataset, file, limit)


def examine(file: Path, handle: BinaryIO, limit: int) -> tuple[Header | None, Callable[[], Raw] | None]:
    """As :func:`header`, and how to read the only image of a file that is no slice of a volume; else None.

    Args:
        file: A DICOM file.
        handle: The file, opened at its beginning.
        limit: Bytes of pixels that are allowed.

    Raises:
        Unreadable: As :func:`header`.
    """
    if DeflatedExplicitVRLittleEndian.encode() in handle.read(1024):
        return header(file, limit), None
    handle.seek(0)
    dataset = pydicom.dcmread(handle, force=True)
    if _is_directory(dataset):
        return None, None
    head = _described(dataset, file, limit)
    if head.frames > 1 or (head.series and any(place.known for place in head.places)):
        return head, None
    return head, lambda: _raw([_slice(_ready(dataset), 0)], 2)


def _is_directory(dataset: Dataset) -> bool:
    return str(getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID", "")) == _DIRECTORY


def _described(dataset: Dataset, file: Path, limit: int) -> Header:
    frames = _declared(dataset, file, limit)
    series = text(dataset, "SeriesInstanceUID")
    places = _places(dataset, frames)
    film = _film(dataset, frames)
    localizer = "LOCALIZER" in text(dataset, "ImageType").upper()
    return Header(
        shape=(whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0),
        frames=frames,
        dim=3 if frames > 1 and not film and (spread(places) > 1 or value(dataset, "SliceVector")) else 2,
        patient=text(dataset, "PatientID"),
        study=text(dataset, "StudyInstanceUID"),
        series=series if frames == 1 else "",
        places=places,
        odd=odd(dataset),
        film=film,
        doubts=(_BURNED,) if text(dataset, "BurnedInAnnotation").upper() == "YES" else (),
        kind=f"{text(dataset, 'SOPClassUID')} {whole(dataset, 'SamplesPerPixel') or 1}{' localizer' * localizer}",
        localizer=localizer,
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
    steps = _steps(first, 0)
    for file in files[1:]:
        dataset = _open(file, limit)
        if not np.allclose(_steps(dataset, 0), steps, rtol=0.01):
            raise Unreadable("belongs to a series whose slices differ in PixelSpacing, so they are no volume")
        slices.append(_slice(dataset, 0))
        check_size(sum(one.stored.nbytes for one in slices), 8 * limit)
        last = _place(dataset, 0, 1)
    if not place.known or not last.known:
        return _raw(slices, dim)
    return _raw(slices, dim, _affine(place, last, len(slices), steps))


@dataclass(frozen=True)
class _Slice:
    stored: NDArray[Any]  # (H, W) values or luminances
    units: Units | None
    window: Window | None
    inverted: bool
    colour: bool
    background: NDArray[np.bool_] | None
    unit_known: bool = True


def _of_frames(dataset: Dataset) -> Raw:
    """All frames as a volume, sorted along the normal; in the order of the file where nothing says places."""
    count = whole(dataset, "NumberOfFrames") or 1
    places = _places(dataset, count)
    if not places:
        return _raw([_slice(dataset, frame) for frame in range(count)], 3)
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
    stored, padding = stored_values(dataset, frame)
    photometric = text(dataset, "PhotometricInterpretation")
    values = apply_color_lut(stored, dataset) if photometric == "PALETTE COLOR" else stored
    if values.ndim == 3:
        values, colour = grey(values)
        return _Slice(values, None, None, False, colour, None)
    modality = _of_frame(dataset, frame, "PixelValueTransformationSequence")
    doubtful = unreadable_rescale(modality)
    window = None if doubtful else window_of(dataset, _of_frame(dataset, frame, "FrameVOILUTSequence"))
    units = units_of(dataset, modality)
    return _Slice(stored, units, window, photometric == "MONOCHROME1", False, padding, not doubtful)


def _raw(slices: list[_Slice], dim: int, affine: NDArray[np.floating] | None = None) -> Raw:
    first = slices[0]
    _check_alike(slices)
    units: Units | None = first.units
    planes = [one.stored for one in slices]
    if any(one.units != units or one.stored.dtype != first.stored.dtype for one in slices):
        planes = [one.stored if one.units is None else one.units.apply(one.stored) for one in slices]
        units = None
    stored = np.stack(planes) if dim == 3 else planes[0]
    background = None
    if any(one.background is not None for one in slices):
        masks = [np.zeros(one.stored.shape, bool) if one.background is None else one.background for one in slices]
        background = np.stack(masks) if dim == 3 else masks[0]
    spacing = None
    if affine is not None:
        stored, spacing = oriented(stored, affine), spacing_of(affine)
        background = None if background is None else oriented(background, affine)
    shared = first.window if all(one.window == first.window for one in slices) else None
    window, convert = shared.apply if shared else None, units.apply if units else None
    return Raw(stored, spacing, window, first.inverted, any(one.colour for one in slices), background, convert)


def _check_alike(slices: list[_Slice]) -> None:
    """Refuse slices that are no volume together.

    Raises:
        Unreadable: They differ in size, unit or polarity.
    """
    if len({one.stored.shape for one in slices}) > 1:
        raise Unreadable("has slices of different size, so they are no volume")
    if len({one.unit_known for one in slices}) > 1:
        raise Unreadable("belongs to a series in which RescaleSlope or RescaleIntercept of some slices cannot be read")
    if len({one.inverted for one in slices}) > 1:
        raise Unreadable("belongs to a series of which some slices are inverted (MONOCHROME1) and others are not")


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
        Unreadable: It declares what cannot be, has no pixels, they are not as many as the header declares, or no
            decoder is installed.
    """
    _check_deflated(file, limit)
    dataset = pydicom.dcmread(file, force=True)
    _declared(dataset, file, limit)
    return _ready(dataset)


def _ready(dataset: Dataset) -> Dataset:
    """A file as it was read, completed so that it can be decoded.

    Raises:
        Unreadable: It has no pixels, they are not as many as the header declares, or no decoder is installed.
    """
    if not any(name in dataset for name in ("PixelData", *_FLOATS)):
        raise Unreadable("is DICOM without pixels")
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = Implicit if implicit else explicit
    photometric = text(dataset, "PhotometricInterpretation")
    if not photometric.isupper():
        dataset.PhotometricInterpretation = photometric.upper()
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
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    if not rows or not columns:
        name = str(dataset.SOPClassUID.name) if text(dataset, "SOPClassUID") else ""
        raise Unreadable(f"is DICOM without a picture ({name})" if name else "is no whole DICOM file")
    allocated = whole(dataset, "BitsAllocated") or 0
    floats = allocated > 16 or any(name in dataset for name in _FLOATS)
    for name in (*_DEMANDED, *(() if floats else _DEMANDED_OF_INTEGERS)):
        if not text(dataset, name) if name in _WORDS else whole(dataset, name) is None:
            raise Unreadable(f"lacks {name}, without which its pixels cannot be read")
    frames: int = whole(dataset, "NumberOfFrames") or 1
    if frames < 0:
        raise Unreadable(f"declares {frames} frames; it is damaged")
    each = max(rows * columns * allocated * (whole(dataset, "SamplesPerPixel") or 0) // 8, 1)
    stored = file.stat().st_size
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    ratio = compression.most(syntax) if syntax else 1
    check_size(each * frames, limit, None if ratio == 1 else stored, ratio)
    # Subsampled colour takes two thirds; how long the pixels are exactly is looked at when they are there.
    room = stored / compression.LEAST if compression.packed(syntax) else 1.5 * stored / each if ratio == 1 else frames
    if frames > room:
        raise Unreadable(
            f"declares {frames} frame(s) of {rows}x{columns}, which a file of {stored} bytes cannot hold; it is damaged"
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


def _places(dataset: Dataset, frames: int) -> tuple[Place, ...]:
    """Where each frame stands; empty where a file of several frames does not say it."""
    if frames == 1 or _groups(dataset):
        return tuple(_place(dataset, frame, frames) for frame in range(frames))
    numbers = vector(dataset, "SliceVector")
    if numbers is None or len(numbers) != frames:
        return ()
    # Nuclear medicine: the first slice's place and the distance along the normal (PS3.3, C.8.4.11, C.8.4.15).
    detector = (value(dataset, "DetectorInformationSequence") or [dataset])[0]
    start, turned = vector(detector, "ImagePositionPatient"), vector(detector, "ImageOrientationPatient")
    gap = vector(dataset, "SpacingBetweenSlices")
    if start is None or turned is None or gap is None or not gap[0]:
        return tuple(Place(number=int(number)) for number in numbers)
    normal = np.cross(turned[:3], turned[3:]) * gap[0]
    return tuple(
        Place(tuple((np.array(start) + normal * (number - 1)).tolist()), turned, int(number)) for number in numbers
    )


def _film(dataset: Dataset, frames: int) -> str:
    """Why the frames of a file without places are no slices of one volume; "" where they may be."""
    if frames == 1 or _groups(dataset):
        return ""
    pointed = value(dataset, "FrameIncrementPointer")
    tags = pointed if isinstance(pointed, (list, MultiValue)) else [] if pointed is None else [pointed]
    names = [keyword_for_tag(tag) for tag in tags]
    for name in [*names, *_IN_TIME]:
        if name in _OF_SLICES:
            continue
        found = vector(dataset, name)
        if found is not None and (name in _IN_TIME or len(set(found)) > 1):
            return name
    return ""


def _shows(dataset: Dataset, frame: int) -> tuple[tuple[str, str | float], ...]:
    """What tells volumes at one place apart, of a frame."""
    found: list[tuple[str, str | float]] = []
    grouped = _groups(dataset) or value(dataset, "SharedFunctionalGroupsSequence")
    for word, group, name in _SHOWS:
        if group and not grouped:
            continue
        place = _of_frame(dataset, frame, group) if group else dataset
        given = None if group and place is dataset else value(place, name)
        if given is None:
            continue
        if name in ("ImageType", "FrameType"):
            found.append((word, "\\".join(str(part) for part in given[2:4]) if hasattr(given, "__len__") else ""))
        elif name == "StackID":
            found.append((word, str(given)))
        elif (one := number(place, name)) is not None:
            found.append((word, one))
    return tuple(found)


def _place(dataset: Dataset, frame: int, frames: int) -> Place:
    """Where a frame stands: its functional groups say so, or, of a file of one frame, the file itself."""
    position, orientation, content = (
        _of_frame(dataset, frame, name)
        for name in ("PlanePositionSequence", "PlaneOrientationSequence", "FrameContentSequence")
    )
    shows = _shows(dataset, frame)
    grouped = position is not dataset
    if not grouped and frames > 1:  # the file's own position is that of its first frame only
        counted = whole(content, "InStackPositionNumber") if content is not dataset else None
        return Place(number=counted, shows=shows)
    return Place(
        vector(position, "ImagePositionPatient"),
        vector(orientation, "ImageOrientationPatient"),
        whole(dataset, "InstanceNumber") if frames == 1 else whole(content, "InStackPositionNumber"),
        text(dataset, "SOPInstanceUID") if frames == 1 else "",
        shows,
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
