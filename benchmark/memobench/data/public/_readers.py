"""What several sources share: the readers of :mod:`memobench.data.files` for one record; finding files; CSV tables."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from memobench.base.errors import DataError
from memobench.data.files import decode
from memobench.data.files.limits import MAX_IMAGE_GIB, gib
from memobench.data.files.picture import Raw, Unreadable
from memobench.data.files.places import NoVolume, in_order
from memobench.data.public._source import Record

LIMIT = gib(MAX_IMAGE_GIB)


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
    """The folder ``name`` in a folder, one level deeper, or the folder itself; and its path ("" or "name/")."""
    if (root / name).is_dir():
        return root / name, f"{name}/"
    for deeper in sorted(root.iterdir()):
        if not deeper.name.startswith(".") and (deeper / name).is_dir():
            return deeper / name, f"{deeper.name}/{name}/"
    return root, ""


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that fit a pattern, sorted, but hidden ones (a Mac's ``._name``) and those in such."""
    return sorted(
        file
        for file in folder.glob(pattern)
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def read_raster(root: Path, record: Record) -> Raw:
    """A PNG or JPEG as grey values."""
    return decode.read([root / record.files[0]], None, 2)


def read_nifti(root: Path, record: Record) -> Raw:
    """A NIfTI volume, its axes running to superior, posterior, left; of a 4D one the first volume."""
    from memobench.data.files import nifti

    return nifti.read_first(root / record.files[0], LIMIT)


def read_analyze(root: Path, record: Record) -> Raw:
    """A volume of two files (.img and .hdr), read as :func:`read_nifti` reads one."""
    from memobench.data.files import nifti

    return nifti.read_pair(root / record.files[0], LIMIT)


def read_array(root: Path, record: Record) -> Raw:
    """A volume (slices, height, width) in an NPY file."""
    return decode.read([root / record.files[0]], None, 3)


def read_series(root: Path, record: Record) -> Raw:
    """A DICOM series of single slices in Hounsfield units, sorted along its normal (feet to head in axial CT).

    Raises:
        Unreadable: Its slices are no volume: several at one place, of different size or orientation, one there twice
            or missing.
    """
    heads = [head for file in record.files if (head := decode.header(root / file))]
    if any(len({getattr(head, name) for head in heads}) > 1 for name in ("series", "shape", "kind")):
        raise Unreadable("lies among slices of several series, sizes or kinds of object, so they are no volume")
    try:
        order, gap = in_order([place for head in heads for place in head.places])
    except NoVolume as error:
        raise Unreadable(f"belongs to a series {error}") from error
    if gap:
        raise Unreadable("belongs to a series that lacks slices: a gap between neighbours is wider than the others")
    return decode.read([root / record.files[index] for index in order], None, 3)


def ct_series(root: Path, collection: str, least: int = 8) -> list[Record]:
    """The series of a TCIA tree ``collection/PATIENT/STUDY/SERIES/*.dcm``; only CT of enough slices is used.

    Args:
        root: The collection's folder, or the one in which it lies (also ``manifest-.../collection``).
        collection: The folder's name as TCIA gives it.
        least: Series with fewer slices are scouts, or what a broken download left.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    folder, before = inner(root, collection)
    series: dict[Path, list[Path]] = {}
    for file in matching(folder, "*/*/*/*.dcm"):
        series.setdefault(file.parent, []).append(file)
    found = []
    for place, files in sorted(series.items()):
        try:
            head = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=["Modality"])
            modality = head.get("Modality")
        except (OSError, InvalidDicomError):
            modality = "CT"  # its reader says what is wrong with it
        passed = ""
        if modality != "CT":
            passed = "series of other modalities than CT"
        elif len(files) < least:
            passed = f"CT series of fewer than {least} slices (scouts, or unfinished downloads)"
        names = tuple(before + file.relative_to(folder).as_posix() for file in files)
        inside = place.relative_to(folder)  # short names of series may repeat between patients
        found.append(Record(names, inside.parts[0], inside.as_posix(), passed=passed))
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
    from memobench.data.files import arrays

    if record.member is None:
        raise ValueError("the record names no row")
    return arrays.read_row(root / record.files[0], *record.member, limit=LIMIT)
