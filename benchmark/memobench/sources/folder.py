"""A folder of real images with a ``manifest.csv``: read, checked, brought to one shape, and split by patient.

The manifest has the columns ``file`` and ``patient_id``, and optionally ``scan_id``. Files are PNG (8 or 16 bit) or
NPZ (one array, or one called ``vol``). Every image is resampled to the task's shape by antialiased linear
interpolation, each axis on its own: the whole image is kept and its aspect is not.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.errors import DataError
from memobench.generator import silent
from memobench.images import Images
from memobench.seeds import generator_for

VERSION = "1"
MIN_PATIENTS = 12
DEV_PATIENTS = 64  # fewer teach the detector too little; then it cross-fits over train and holdout


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest: files (which exist) with their patients and scans."""

    root: Path
    files: tuple[Path, ...]
    patients: tuple[str, ...]
    scans: tuple[str, ...]


def read_manifest(root: Path, suffixes: tuple[str, ...] = (".png", ".npz")) -> Manifest:
    """Read and check ``manifest.csv``.

    Args:
        root: The folder.
        suffixes: The endings of files that may be listed, in lower case; () for any.

    Raises:
        DataError: No folder, no manifest, missing columns, an empty cell, a path that leaves the folder, a file that
            is missing or of another kind, or a file listed twice.
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
        if suffixes and file.suffix.lower() not in suffixes:
            raise DataError(f"{path}, line {line}: {name} is neither PNG nor NPZ; convert it")
        files.append(file)
        patients.append(patient)
        scans.append((row.get("scan_id") or "").strip() or name)
    twice = {file for file in files if files.count(file) > 1} if len(set(files)) < len(files) else set()
    if twice:
        raise DataError(f"{path} lists {min(twice).relative_to(root)} twice; delete one of the lines")
    return Manifest(root, tuple(files), tuple(patients), tuple(scans))


def key(manifest: Manifest, shape: tuple[int, ...]) -> dict[str, Any]:
    """What the sides depend on: every file's name and content, the ids, the shape, the version of the rule."""
    sha = hashlib.sha256()
    for file, patient, scan in zip(manifest.files, manifest.patients, manifest.scans, strict=True):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        sha.update("\x1f".join([str(file.relative_to(manifest.root)), patient, scan, content, ""]).encode())
    return {"source": "folder", "version": VERSION, "content": sha.hexdigest(), "shape": shape}


def read_sides(
    manifest: Manifest, shape: tuple[int, ...], track: Callable[..., Iterator[Any]] = silent
) -> tuple[dict[str, Images | None], list[str]]:
    """Read every image and deal the patients to train, holdout, test, dev and fresh.

    Raises:
        DataError: A file cannot be read, has another dimension than the task, holds NaN or one value only; or there
            are fewer patients than the split needs.
    """
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda file: read_image(file, shape, manifest.root), manifest.files)
        both = list(track(read, "reading images", len(manifest.files)))
    pixels = np.stack([image for image, _ in both])
    notes = []
    originals = {original for _, original in both}
    if originals != {shape}:
        sizes = "one size" if len(originals) == 1 else f"{len(originals)} sizes"
        notes.append(f"images of {sizes} were resampled to {'x'.join(map(str, shape))}")
    patients = np.array(manifest.patients)
    groups, found = join_duplicates(pixels, patients)
    notes += found
    sides = deal(groups)
    images = Images(pixels, patients, np.array(manifest.scans))
    if "dev" not in sides:
        notes.append("too few patients to set some aside for the detector; it cross-fits over train and holdout")
    return {name: images.take(np.isin(groups, chosen)) for name, chosen in sides.items()}, notes


def deal(groups: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """Deal patients to sides by a seeded draw: train and holdout equal, test and fresh, and dev where there are enough.

    With 256 patients or more each of train, holdout, dev and (test with fresh) gets a quarter; with fewer there is no
    dev and the three others get a third.

    Raises:
        DataError: There are fewer than 12 patients.
    """
    names = np.unique(groups)
    if len(names) < MIN_PATIENTS:
        raise DataError(
            f"{len(names)} patients are too few to split into train, holdout and test; give at least {MIN_PATIENTS}"
        )
    order = generator_for(0, "split", VERSION).permutation(names)
    parts = 4 if len(names) >= 4 * DEV_PATIENTS else 3
    each = len(names) // parts
    train, holdout, rest = order[:each], order[each : 2 * each], order[2 * each :]
    sides = {"train": train, "holdout": holdout}
    if parts == 4:
        sides["dev"], rest = rest[:each], rest[each:]
    half = len(rest) // 2
    return {**sides, "test": rest[half:], "fresh": rest[:half]}


def join_duplicates(pixels: NDArray[np.float32], patients: NDArray[np.str_]) -> tuple[NDArray[np.str_], list[str]]:
    """Patients who share an identical image become one group, so that it never stands on two sides.

    Returns:
        (N,) the group of each image (a patient's id), and a note on what was found.
    """
    seen: dict[bytes, str] = {}
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    shared = 0
    for image, patient in zip(pixels, patients.tolist(), strict=True):
        content = hashlib.sha256(image.tobytes()).digest()
        first = seen.setdefault(content, patient)
        if first != patient:
            shared += 1
            low, high = sorted((root(first), root(patient)))
            parent[high] = low
    groups = np.array([root(name) for name in patients.tolist()])
    if not shared:
        return groups, []
    joined = len({*parent} | {*parent.values()})
    return groups, [
        f"{shared} images are identical to an image of another patient; the {joined} patients that share images are "
        "treated as one wherever they meet, so that none stands on two sides"
    ]


def read_image(file: Path, shape: tuple[int, ...], root: Path) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """One image as float32 in [0, 1] of the wanted shape, and the shape that it had.

    Raises:
        DataError: It cannot be read, or is no image of that dimension; the message names the file.
    """
    name = file.relative_to(root)
    try:
        array = _read_png(file) if file.suffix.lower() == ".png" else read_npz(file)
    except (OSError, ValueError, zipfile.BadZipFile, SyntaxError, KeyError, EOFError) as error:
        raise DataError(f"{name} cannot be read ({error}); restore it or delete its line in manifest.csv") from error
    if array.ndim != len(shape):
        raise DataError(
            f"{name} has shape {array.shape}, but the task needs {len(shape)}D images; choose a "
            f"{array.ndim}D task (bench list tasks) or delete its line in manifest.csv"
        )
    if array.dtype in (np.uint8, np.uint16):
        image = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    elif np.issubdtype(array.dtype, np.floating):
        image = array.astype(np.float32)
    else:
        raise DataError(f"{name} holds {array.dtype}; save it as uint8, uint16 or floating point in [0, 1]")
    if not np.isfinite(image).all():
        raise DataError(f"{name} holds {int((~np.isfinite(image)).sum())} NaN or infinite values; replace them")
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise DataError(f"{name} spans {low:g} to {high:g}; window it to uint8, uint16 or [0, 1] first")
    if low == high:
        raise DataError(f"{name} is constant (every value is {low:g}), no image; delete its line in manifest.csv")
    return resize(image, shape), array.shape


def resize(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resample to a shape by antialiased linear interpolation, values staying in [0, 1].

    >>> resize(np.eye(4, dtype=np.float32), (2, 2)).shape
    (2, 2)
    """
    if image.shape == shape:
        return image
    if image.ndim == 3:
        planes = np.stack([resize(plane, shape[1:]) for plane in image])  # (D0, H, W)
        rows = planes.reshape(len(planes), -1)  # (D0, H * W)
        flat = Image.fromarray(rows).resize((rows.shape[1], shape[0]), Image.Resampling.BILINEAR)
        out = np.asarray(flat).reshape(shape)
    else:
        height, width = shape
        out = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    resized: NDArray[np.float32] = np.clip(out, 0, 1).astype(np.float32)
    return resized


def _read_png(file: Path) -> NDArray[Any]:
    with Image.open(file) as image:
        if image.format != "PNG":
            raise ValueError(f"its content is {image.format}, not PNG")
        image.load()
        if image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)
        return np.asarray(image.convert("L"))


def read_npz(file: Path) -> NDArray[Any]:
    """The only array of an archive, or the one called ``vol``; never a pickle.

    Raises:
        ValueError: There are several arrays and none is called ``vol``, or it holds objects.
    """
    with np.load(file, allow_pickle=False) as archive:
        names = archive.files
        if "vol" not in names and len(names) != 1:
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}; keep one array, or name one vol")
        array: NDArray[Any] = archive["vol" if "vol" in names else names[0]]
        return array
