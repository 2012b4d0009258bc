"""``manifest.csv``: which files of a folder are whose images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from memobench.base.errors import DataError, suggest


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest: files (which exist) with their patients and scans."""

    root: Path
    files: tuple[Path, ...]
    patients: tuple[str, ...]
    scans: tuple[str, ...]


def read_manifest(root: Path) -> Manifest:
    """Read and check ``manifest.csv``.

    Args:
        root: The folder.

    Raises:
        DataError: No folder, no manifest, missing columns, an empty cell, a path that leaves the folder, a file that
            is missing, or a file listed twice.
    """
    if not root.is_dir():
        raise DataError(f'there is no folder {root}; give --data "phantom" or a folder with a manifest.csv')
    path = root / "manifest.csv"
    if not path.is_file():
        raise DataError(f"{root} has no manifest.csv; write one with the columns file, patient_id (and scan_id)")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no UTF-8 table of comma-separated values ({error}); save it as one") from error
    lacking = [name for name in ("file", "patient_id") if name not in columns]
    if lacking:
        raise DataError(f"{path} lacks the column {lacking[0]}; it has {', '.join(columns) or 'none'}")
    if not rows:
        raise DataError(f"{path} lists no image; add one line per image")
    files, patients, scans = [], [], []
    inside = root.resolve()
    for line, row in enumerate(rows, start=2):
        name, patient = (row["file"] or "").strip(), (row["patient_id"] or "").strip()
        if not name or not patient:
            raise DataError(f"{path}, line {line}: file or patient_id is empty; fill it or delete the line")
        file = root / name
        if not file.resolve().is_relative_to(inside):
            raise DataError(f"{path}, line {line}: {name} leaves the folder; list only files inside it")
        if not file.is_file():
            raise DataError(f"{path}, line {line}: there is no file {name}; restore it or delete the line")
        files.append(file)
        patients.append(patient)
        scans.append((row.get("scan_id") or "").strip() or name)
    twice = {file for file in files if files.count(file) > 1} if len(set(files)) < len(files) else set()
    if twice:
        raise DataError(f"{path} lists {min(twice).relative_to(root)} twice; delete one of the lines")
    return Manifest(root, tuple(files), tuple(patients), tuple(scans))


def manifest_columns(root: Path, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of further columns of ``manifest.csv``, by file.

    Args:
        root: A folder whose manifest :func:`read_manifest` has read.
        columns: Their names.

    Returns:
        For each path relative to ``root``, one value for each column; an empty cell is a value of its own.

    Raises:
        DataError: There is no manifest, or it lacks a column.
    """
    path = root / "manifest.csv"
    if not path.is_file():
        raise DataError(f"{root} has no manifest.csv, so its images have no {', '.join(columns)}; write one")
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        rows, known = list(reader), reader.fieldnames or []
    for name in columns:
        if name not in known:
            raise DataError(f'{path} lacks the column "{name}"; {suggest(name, known)}')
    return {
        PurePosixPath((row["file"] or "").strip()).as_posix(): tuple((row[name] or "").strip() for name in columns)
        for row in rows
    }
