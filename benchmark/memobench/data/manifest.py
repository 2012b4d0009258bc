"""``manifest.csv``: which files of a folder are whose images."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memobench.base.errors import DataError, suggest

NAME = "manifest.csv"
_COLUMNS = ("file", "patient_id", "scan_id")
_BETWEEN = ",;\t|"  # what may stand between cells
_OTHERS = 20  # tables beside the images that are looked at
_LONGEST = 2**20  # characters of a first line


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest: files (which exist) with their patients and scans."""

    root: Path
    files: tuple[Path, ...]
    patients: tuple[str, ...]
    scans: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """A table's columns, and its rows with the lines on which they end."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def find_manifest(root: Path) -> Path | None:
    """The manifest of a folder, its name in capitals or not; None where there is none."""
    if (root / NAME).is_file():
        return root / NAME
    if not root.is_dir():
        return None
    return next((one for one in sorted(root.iterdir()) if one.name.casefold() == NAME and one.is_file()), None)


def unread_tables(root: Path) -> list[str]:
    """Names of tables in a folder that have a column for patients, and are not read since only manifest.csv is."""
    tables = [one for one in sorted(root.glob("*.[ct]sv")) if one.is_file() and not one.name.startswith(".")]
    found = []
    for path in tables[:_OTHERS]:
        try:
            columns = _table(path, rows=False).columns
        except DataError:
            continue
        if any(name.casefold().replace(" ", "_") in ("patient_id", "patientid", "subject_id") for name in columns):
            found.append(path.name)
    return found


def read_manifest(root: Path) -> Manifest:
    """Read and check ``manifest.csv``.

    Cells stand between commas, semicolons, tabs or bars; the columns' names may be in capitals; paths are relative to
    the folder, with slashes or backslashes, or absolute within it.

    Args:
        root: The folder.

    Raises:
        DataError: No folder, no manifest, missing columns, an empty cell, a path that leaves the folder, a file that
            is missing, or a file listed twice.
    """
    if not root.is_dir():
        raise DataError(f'there is no folder {root}; give --data "phantom" or a folder with a manifest.csv')
    path = find_manifest(root)
    if path is None:
        raise DataError(f"{root} has no manifest.csv; write one with the columns file, patient_id (and scan_id)")
    table = _table(path)
    lacking = [name for name in ("file", "patient_id") if name not in table.columns]
    if lacking:
        raise DataError(
            f"{path} lacks the column {lacking[0]}; it has {', '.join(table.columns) or 'none'}; name the columns in "
            "its first line, file and patient_id among them"
        )
    if double := next((name for name in _COLUMNS if table.columns.count(name) > 1), None):
        raise DataError(f"{path} has the column {double} twice; delete or rename one of the two")
    if not table.rows:
        raise DataError(f"{path} lists no image; add one line per image")
    files, patients, scans = [], [], []
    inside = root.resolve()
    for line, row in table.rows:
        name, patient = row["file"], row["patient_id"]
        if not name or not patient:
            raise DataError(f"{path}, line {line}: file or patient_id is empty; fill it or delete the line")
        file = _place(root, name)
        if not file.resolve().is_relative_to(inside):
            raise DataError(f"{path}, line {line}: {name} leaves the folder; list only files inside it")
        if not file.is_file():
            raise DataError(
                f"{path}, line {line}: there is no file {name} in the folder; restore it, correct the line or delete it"
            )
        files.append(file)
        patients.append(patient)
        scans.append(row.get("scan_id") or name)
    twice = sorted(file for file, count in Counter(files).items() if count > 1)
    if twice:
        raise DataError(f"{path} lists {twice[0].relative_to(root)} twice; delete one of the lines")
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
    path = find_manifest(root)
    if path is None:
        raise DataError(f"{root} has no manifest.csv, so its images have no {', '.join(columns)}; write one")
    table = _table(path)
    for name in columns:
        if name not in table.columns:
            raise DataError(f'{path} lacks the column "{name}"; {suggest(name, table.columns)}')
    return {
        _place(root, row["file"]).relative_to(root).as_posix(): tuple(row[name] for name in columns)
        for _, row in table.rows
    }


def _table(path: Path, *, rows: bool = True) -> _Table:
    """A table as people save them: commas, semicolons or tabs, UTF-8 or UTF-16 with a mark, lines without cells.

    Args:
        path: Of the table.
        rows: Whether more than its first line is read.

    Raises:
        DataError: It is no table in one of these.
    """
    with path.open("rb") as handle:
        encoding = "utf-16" if handle.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        with path.open(newline="", encoding=encoding) as handle:
            first = handle.readline(_LONGEST)
            between = max(_BETWEEN, key=first.count) if first.strip() else ","
            handle.seek(0)
            reader = csv.reader(handle if rows else [first], delimiter=between)
            names = [_column(cell) for cell in next(reader, [])]
            lines = reader if rows else ()
            filled = [(reader.line_num, cells) for cells in lines if any(cell.strip(" \0") for cell in cells)]
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path} is no UTF-8 table of comma-separated values ({error}); save it as one") from error
    named = [
        (line, {name: cell.strip() for name, cell in zip(names, _filled(cells, len(names)), strict=True)})
        for line, cells in filled
    ]
    return _Table(path, tuple(names), tuple(named))


def _filled(cells: list[str], count: int) -> list[str]:
    """The cells of a line, empty ones for those that it lacks."""
    return [*cells, *[""] * (count - len(cells))][:count]


def _column(cell: str) -> str:
    """A column's name, those that are known in small letters."""
    name = cell.strip()
    return name.casefold() if name.casefold() in _COLUMNS else name


def _place(root: Path, name: str) -> Path:
    """The file that a line means, in the folder as it was given; as it is written where there is none."""
    forms = [name, name.replace("\\", "/")]
    forms += [unicodedata.normalize(form, one) for one in forms for form in ("NFC", "NFD")]
    written = next((one for one in forms if (root / one).is_file()), name)
    path = Path(os.path.normpath(root / written))
    if Path(written).is_absolute():
        for base in (root.absolute(), root.resolve()):
            if path.is_relative_to(base):
                return root / path.relative_to(base)
        return path
    return path if path.is_relative_to(os.path.normpath(root)) else root / written
