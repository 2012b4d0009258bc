"""A public source on common ground: listed, dealt to sides by patient, read in parallel, kept in a cache.

The pixels are written into a memory-mapped array in the store's scratch folder, with a mark for each image that is
done, so that an interrupted preparation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from memobench.data.folder import DEV_PATIENTS, MIN_PATIENTS, deal, join_duplicates
from memobench.data.public._source import Raw, Recipe, Record, Source, to_unit
from memobench.data.resample import resize
from memobench.images import Images

SPLIT_VERSION = "1"
MIN_TEST = 8  # official test patients; with fewer the publisher's list is not used


def list_records(source: Source, root: Path) -> list[Record]:
    """The records that are used: all of a source's, or those of a seeded draw of its patients where there are more.

    Raises:
        DataError: The folder is missing or holds none (with the way to get the data), a scan is listed twice, or a
            path leaves the folder.
    """
    if not root.is_dir():
        raise source.missing(root, "no data")
    records = sorted(source.records(root), key=lambda one: (one.patient, one.scan))
    if not records:
        raise source.missing(root, "no image was found in the publisher's layout")
    scans = [record.scan for record in records]
    if len(set(scans)) < len(scans):
        twice = next(a for a, b in zip(sorted(scans), sorted(scans)[1:], strict=False) if a == b)
        raise DataError(f"{source.name}: the scan {twice} is there twice in {root}; remove the copy")
    patients = np.unique([record.patient for record in records])
    if len(patients) > source.most_patients:
        drawn = generator_for(0, "public patients", source.name, SPLIT_VERSION).permutation(patients)
        kept = set(drawn[: source.most_patients].tolist())
        records = [record for record in records if record.patient in kept]
    return records


def ids_digest(records: list[Record]) -> str:
    """SHA-256 of who is in: patients, scans and the publisher's lists; no image is needed to compare it."""
    ids = [[record.patient, record.scan, record.test] for record in records]
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def key(source: Source, root: Path, records: list[Record], shape: tuple[int, ...]) -> dict[str, Any]:
    """What the prepared sides depend on.

    A file stands with its path, size and time of change, not its content, which would take hours to read.

    Raises:
        DataError: A listed file is missing.
    """
    sha, folder = hashlib.sha256(), str(root)
    for file in dict.fromkeys(file for record in records for file in record.files):
        try:
            status = os.stat(f"{folder}/{file}")  # noqa: PTH116  (a Path per file takes as long as all else here)
        except OSError as error:
            raise DataError(f"{source.name}: {file} is listed but missing in {root}; restore it") from error
        sha.update(f"{file}\x1f{status.st_size}\x1f{status.st_mtime_ns}\x1e".encode())
    return {
        "source": source.name,
        "version": source.version,
        "split": SPLIT_VERSION,
        "recipe": str(source.recipe),
        "ids": ids_digest(records),
        "files": sha.hexdigest(),
        "shape": list(shape),
    }


def read_sides(
    source: Source,
    root: Path,
    records: list[Record],
    shape: tuple[int, ...],
    scratch: Path,
    track: Callable[..., Iterator[Any]] = silent,
) -> tuple[dict[str, Images | None], list[str]]:
    """Read every record and deal the patients to train, holdout, test, dev and fresh.

    Raises:
        DataError: The source has another dimension than the task, an image cannot be read, or there are too few
            patients.
    """
    if source.dim < len(shape):
        raise DataError(f"{source.name} holds 2D images; choose a 2D task: {', '.join(source.tasks)}")
    pixels = read_pixels(source, root, records, shape, scratch, track)
    patients = np.array([record.patient for record in records], dtype=np.str_)
    groups, notes = join_duplicates(pixels, patients)
    sides = deal_listed(groups, np.array([record.test for record in records]))
    images = Images(pixels, patients, np.array([record.scan for record in records], dtype=np.str_))
    notes = [
        f"{source.title}, split rule {source.name}/{source.version}-{SPLIT_VERSION}, ids {ids_digest(records)}",
        *notes,
    ]
    if "dev" not in sides:
        notes.append("too few patients to set some aside for the detector; it cross-fits over train and holdout")
    return {name: images.take(np.isin(groups, chosen)) for name, chosen in sides.items()}, notes


def deal_listed(groups: NDArray[np.str_], test: NDArray[np.bool_]) -> dict[str, NDArray[np.str_]]:
    """Deal patients to sides: those on the publisher's test list to test and fresh, the others to the rest.

    Train and holdout are dealt from the same list, since the measure needs them to be exchangeable. Where the list
    names fewer than 8 patients, or leaves fewer than 8, it is not used.

    Args:
        groups: (N,) the patient of each image; patients that share an image are one.
        test: (N,) whether the publisher's list names the image.

    Raises:
        DataError: There are fewer than 12 patients.
    """
    listed = np.unique(groups[test])
    others = np.setdiff1d(np.unique(groups), listed)
    if len(listed) < MIN_TEST or len(others) < MIN_TEST or len(listed) + len(others) < MIN_PATIENTS:
        return deal(groups)
    random = generator_for(0, "public split", SPLIT_VERSION)
    listed, others = random.permutation(listed), random.permutation(others)
    parts = 3 if len(others) >= 3 * DEV_PATIENTS else 2
    each = len(others) // parts
    sides = {"train": others[:each], "holdout": others[each : 2 * each]}
    if parts == 3:
        sides["dev"] = others[2 * each :]
    half = len(listed) // 2
    return {**sides, "test": listed[half:], "fresh": listed[:half]}


def read_pixels(
    source: Source,
    root: Path,
    records: list[Record],
    shape: tuple[int, ...],
    scratch: Path,
    track: Callable[..., Iterator[Any]] = silent,
) -> NDArray[np.float32]:
    """(N, *shape) all records, memory-mapped in ``scratch``; what an earlier attempt finished is not read again."""
    target, marks = scratch / "pixels.npy", scratch / "done.npy"
    if not marks.exists():
        np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(len(records), *shape)).flush()
        np.save(marks, np.zeros(len(records), dtype=np.uint8))
    pixels = np.load(target, mmap_mode="r+")
    done = np.load(marks, mmap_mode="r+")
    open_jobs = np.flatnonzero(done == 0).tolist()

    def fill(index: int) -> None:
        pixels[index] = read_one(source, root, records[index], shape)
        done[index] = 1

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(processors) as pool:
        try:
            for _ in track(pool.map(fill, open_jobs), f"preparing {source.name}", len(open_jobs)):
                pass
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    pixels.flush()
    filled: NDArray[np.float32] = pixels
    return filled


def read_one(source: Source, root: Path, record: Record, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One record as float32 in [0, 1] of the wanted shape.

    Raises:
        DataError: It cannot be read, or is no image; the message names the file.
    """
    try:
        raw = source.read(root, record)
        return shaped(raw, source.recipe, shape)
    except Exception as error:  # broken files make the libraries raise whatever comes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{source.name}: {record.files[0]} cannot be read ({reason}); get it anew") from error


def shaped(raw: Raw, recipe: Recipe, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Window, crop and resample an image; a 2D shape takes the middle slice of a volume.

    >>> shaped(Raw(np.arange(64, dtype=np.uint8).reshape(4, 4, 4)), Recipe(), (2, 2)).shape
    (2, 2)
    """
    values, spacing = raw.values, raw.spacing
    if values.ndim not in (2, 3):
        raise ValueError(f"its array has {values.ndim} axes")
    if values.ndim == 3 and len(shape) == 2:
        values, spacing = values[len(values) // 2], None if spacing is None else spacing[1:]
    if values.dtype == np.uint8 and values.ndim == 2 and recipe == Recipe():  # resampled in 8 bit, four times faster
        if values.min() == values.max():
            raise ValueError("it holds one value only")
        small = Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        return np.asarray(small, dtype=np.float32) / np.float32(255)
    unit = to_unit(values, recipe)
    if recipe.field_mm is not None and spacing is not None:
        unit = _centre(unit, [round(recipe.field_mm / step) for step in spacing])
    return resize(np.ascontiguousarray(unit), shape)


def _centre(image: NDArray[np.float32], sides: list[int]) -> NDArray[np.float32]:
    """The central part of the wanted sides in pixels, padded with 0."""
    for axis, side in enumerate(sides):
        have, side = image.shape[axis], max(side, 1)
        if have >= side:
            start = (have - side) // 2
            image = image.take(range(start, start + side), axis=axis)
        else:
            before = (side - have) // 2
            pads = [(0, 0)] * image.ndim
            pads[axis] = (before, side - have - before)
            image = np.pad(image, pads)
    return image
