"""Readers that several sources share: raster images, NIfTI, DICOM series, rows of an NPZ; and CSV tables."""

from __future__ import annotations

import csv
import gzip
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.base.errors import DataError
from memobench.data.public._source import Raw, Record

_ONE_AT_A_TIME = threading.Lock()


def rows(table: Path, *columns: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file (also gzipped), which must have the named columns.

    Raises:
        DataError: A column is missing.
    """
    opened: Any = gzip.open if table.suffix == ".gz" else open
    with opened(table, "rt", newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        lacking = [name for name in columns if name not in (reader.fieldnames or [])]
        if lacking:
            raise DataError(f"{table.name} lacks the column {lacking[0]}; use the publisher's table unchanged")
        yield from reader


def inner(root: Path, name: str) -> tuple[Path, str]:
    """The folder ``name`` in a folder or the folder itself, and its path relative to the given one ("" or "name/")."""
    return (root / name, f"{name}/") if (root / name).is_dir() else (root, "")


def read_raster(root: Path, record: Record) -> Raw:
    """A PNG or JPEG as grey values: uint8, or uint16 brought to 8 bit of precision or more as float."""
    with Image.open(root / record.files[0]) as image:
        if image.mode.startswith("I"):
            return Raw(np.asarray(image).astype(np.float32) / np.float32(65535))
        return Raw(np.asarray(image.convert("L")))


def read_nifti(root: Path, record: Record) -> Raw:
    """A NIfTI or Analyze volume, its axes running to superior, posterior, left; of a 4D one the first volume."""
    import nibabel

    from memobench.data.files.nifti import oriented

    image: Any = nibabel.load(root / record.files[0])
    values = np.asanyarray(image.dataobj)
    while values.ndim > 3:
        values = values[..., 0]
    steps = np.sqrt((np.asarray(image.affine)[:3, :3] ** 2).sum(axis=0))
    nearest = np.abs(np.asarray(image.affine)[:3, :3] / steps).argmax(axis=0).tolist()  # array axis to world axis
    spacing = tuple(float(steps[nearest.index(world)]) for world in (2, 1, 0))
    return Raw(oriented(values, image.affine), spacing)


def read_series(root: Path, record: Record) -> Raw:
    """A DICOM series of single slices in Hounsfield units, sorted along its normal (feet to head in axial CT)."""
    import pydicom

    from memobench.data.files.places import along

    slices = [pydicom.dcmread(root / file) for file in record.files]
    direction = [float(number) for number in slices[0].ImageOrientationPatient]
    slices.sort(key=lambda one: along([float(number) for number in one.ImagePositionPatient], direction))
    places = [along([float(n) for n in one.ImagePositionPatient], direction) for one in slices]
    gap = float(np.median(np.diff(places)))
    if not gap > 0:
        raise ValueError("several slices lie at one place")
    values = np.stack(
        [
            one.pixel_array.astype(np.float32) * float(one.get("RescaleSlope", 1))
            + float(one.get("RescaleIntercept", 0))
            for one in slices
        ]
    )
    row, column = (float(step) for step in slices[0].PixelSpacing)
    return Raw(values, (gap, row, column))


def ct_series(root: Path, collection: str, least: int = 8) -> list[Record]:
    """The CT series of a TCIA tree ``collection/PATIENT/STUDY/SERIES/*.dcm``; other modalities are passed over.

    Args:
        root: The collection's folder, or the one in which it lies.
        collection: The folder's name as TCIA gives it.
        least: Series with fewer slices are scouts.
    """
    import pydicom

    folder, before = inner(root, collection)
    found = []
    for series in sorted({file.parent for file in folder.glob("*/*/*/*.dcm")}):
        files = sorted(series.glob("*.dcm"))
        head = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=["Modality"])
        if len(files) >= least and head.get("Modality") == "CT":
            names = tuple(before + file.relative_to(folder).as_posix() for file in files)
            inside = series.relative_to(folder)  # short names of series may repeat between patients
            found.append(Record(names, inside.parts[0], inside.as_posix()))
    return found


def npz_records(root: Path, stem: str) -> list[Record]:
    """One record per image of a MedMNIST file ``stem_64.npz`` or ``stem.npz``.

    MedMNIST publishes no patient ids, so each image stands as a patient of its own; see the sources.
    """
    name = next((name for name in (f"{stem}_64.npz", f"{stem}.npz") if (root / name).is_file()), None)
    if name is None:
        return []
    found = []
    with np.load(root / name, allow_pickle=False, mmap_mode="r") as archive:
        counts = {part: len(archive[f"{part}_labels"]) for part in ("train", "val", "test")}
    for part, count in counts.items():
        for row in range(count):
            ident = f"{part}-{row:06d}"
            found.append(Record((name,), ident, ident, part == "test", (f"{part}_images", row)))
    return found


def read_npz_row(root: Path, record: Record) -> Raw:
    """One row of an array in an NPZ file."""
    if record.member is None:
        raise ValueError("the record names no row")
    file = root / record.files[0]
    with _ONE_AT_A_TIME:  # the first thread reads the array, the others find it
        array = _array(file, record.member[0], file.stat().st_mtime_ns)
    return Raw(array[record.member[1]])


@lru_cache(maxsize=3)
def _array(file: Path, name: str, _changed: int) -> NDArray[Any]:
    with np.load(file, allow_pickle=False) as archive:
        array: NDArray[Any] = archive[name]
        return array
