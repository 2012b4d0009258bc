"""A folder of real images with a ``manifest.csv``: read, checked, brought to one shape, and split by patient.

The manifest has the columns ``file`` and ``patient_id``, and optionally ``scan_id``. Files are PNG (8 or 16 bit) or
NPZ (one array, or one called ``vol``). Every image is resampled to the task's shape by antialiased linear
interpolation, each axis on its own: the whole image is kept and its aspect is not.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.base.errors import DataError
from memobench.base.progress import silent
from memobench.base.seeds import generator_for
from memobench.data.manifest import Manifest
from memobench.data.resample import resize
from memobench.images import Images

VERSION = "1"
MIN_PATIENTS = 12
DEV_PATIENTS = 64  # fewer teach the detector too little; then it cross-fits over train and holdout


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
