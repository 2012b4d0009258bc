"""A public source on common ground: listed, assigned to sides by patient, read in parallel, kept in a cache.

The pixels are written into a memory-mapped array in the store's scratch folder, with a mark for each image that is
done, so that an interrupted preparation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.processors import workers
from memobench.base.progress import silent
from memobench.base.seeds import generator_for
from memobench.data.files.picture import SCALING_VERSION, Raw, Unreadable
from memobench.data.files.walk import counted, shown, walk
from memobench.data.folder import DEV_PATIENTS, MIN_PATIENTS, deal, join_duplicates
from memobench.data.public._published import SIDES, PublishedSplit
from memobench.data.public._source import Recipe, Record, Source, scaled
from memobench.data.resample import resize
from memobench.images import Images

SPLIT_VERSION = "1"
LEAST_SHARE = 0.5  # of what the publisher lists must be there
MIN_TEST = 8  # official test patients; with fewer the publisher's list is not used


@dataclass(frozen=True)
class Listed:
    """What is used of a source.

    Attributes:
        records: Those that are there.
        notes: What the publisher, or the split, lists and is not there, and what is there and not used.
        skip_unreadable: Whether images that cannot be read are left out too.
        split: The published split that says who stands where; None for the split rule.
        sides: The side of each record in that split.
    """

    records: list[Record]
    notes: tuple[str, ...] = ()
    skip_unreadable: bool = False
    split: PublishedSplit | None = None
    sides: tuple[str, ...] = ()


def list_all(
    source: Source, root: Path, *, skip_unreadable: bool = False, split: PublishedSplit | None = None
) -> Listed:
    """What the publisher lists and what is there: all, or a seeded draw of the patients where there are more.

    Args:
        source: The source.
        root: Its folder.
        skip_unreadable: Go on with what is there.
        split: A published split: its images alone, all of which must be there.

    Raises:
        DataError: The folder is missing or holds none (with the way to get the data), a folder in it cannot be
            opened, fewer than half of what is listed is there (of a published split: any is missing), a scan is listed
            twice, or a path leaves the folder.
    """
    if not root.is_dir():
        raise source.missing(root, "no data")
    for _ in walk(root):  # a folder that cannot be opened would be left out by the patterns below
        pass
    there_are = sorted(source.records(root), key=lambda one: (one.patient, one.scan))
    every = [one for one in there_are if not one.passed]
    folder = str(root)
    records = [one for one in every if all(os.path.isfile(f"{folder}/{file}") for file in one.files)]  # noqa: PTH113
    notes = _passed_over(there_are)
    if not records:
        seen = f" ({'; '.join(notes)})" if notes else ""
        raise source.missing(root, f"no image was found in the publisher's layout{seen}")
    _check_records(source, root, records)
    if split is not None:
        return _of_split(source, root, records, split, skip_unreadable)
    absent = len(every) - len(records)
    if absent:
        there = set(map(id, records))
        example = next(one for one in every if id(one) not in there).files[0]
        said = f"{absent} of {len(every)} images that the publisher lists are not there (such as {shown(example)})"
        if len(records) < LEAST_SHARE * len(every) and not skip_unreadable:
            raise DataError(
                f"{source.name}: {said} in {root}; put all parts side by side there, or go on with what there is by "
                "--skip-unreadable"
            )
        notes = (*notes, said)
    patients = np.unique([record.patient for record in records])
    if len(patients) > source.most_patients:
        drawn = generator_for(0, "public patients", source.name, SPLIT_VERSION).permutation(patients)
        kept = set(drawn[: source.most_patients].tolist())
        records = [record for record in records if record.patient in kept]
    return Listed(records, notes, skip_unreadable)


def _check_records(source: Source, root: Path, records: list[Record]) -> None:
    """Refuse records whose files leave the folder, and scans that are there twice."""
    inside = root.resolve()
    leaving = next((file for one in records for file in one.files if ".." in Path(file).parts), None)
    if leaving and not (root / leaving).resolve().is_relative_to(inside):
        raise DataError(f"{source.name}: {shown(leaving)} leaves {root}; use the publisher's tables unchanged")
    scans = [record.scan for record in records]
    if len(set(scans)) < len(scans):
        twice = next(a for a, b in zip(sorted(scans), sorted(scans)[1:], strict=False) if a == b)
        raise DataError(f"{source.name}: the scan {twice} is there twice in {root}; remove the copy")


def _of_split(source: Source, root: Path, records: list[Record], split: PublishedSplit, skip: bool) -> Listed:
    """The records of a published split, each with its side."""
    chosen, sides = split.choose(records)
    notes: tuple[str, ...] = ()
    if absent := split.images - len(chosen):
        said = f"{absent} of the {split.images} images of the split {split.data} are not there"
        if not skip or not chosen:
            raise DataError(
                f"{said} in {root}; put all of them there, or go on with what there is by --skip-unreadable (which "
                "makes another split, and no track of the board)"
            )
        notes = (f"{said}, so this is another split",)
    return Listed(chosen, notes, skip, split, tuple(sides))


def _passed_over(records: list[Record]) -> tuple[str, ...]:
    """How much is there and not used, by the reason."""
    first: dict[str, Record] = {}
    for record in records:
        if record.passed:
            first.setdefault(record.passed, record)
    return tuple(
        f"{sum(one.passed == reason for one in records)} {reason} were not used (such as {shown(example.scan)})"
        for reason, example in first.items()
    )


def ids_digest(records: list[Record]) -> str:
    """SHA-256 of who is in: patients, scans and the publisher's lists; no image is needed to compare it."""
    ids = [[record.patient, record.scan, record.test] for record in records]
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def key(source: Source, root: Path, listed: Listed, shape: tuple[int, ...]) -> dict[str, Any]:
    """What the prepared sides depend on.

    A file stands with its path, size and time of change, not its content, which would take hours to read.

    Raises:
        DataError: A listed file is missing.
    """
    records, sha, folder = listed.records, hashlib.sha256(), str(root)
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
        "scaling": SCALING_VERSION,
        "ids": ids_digest(records),
        "files": sha.hexdigest(),
        "shape": list(shape),
        **({"skip_unreadable": True} if listed.skip_unreadable else {}),
        **({"published": listed.split.content} if listed.split is not None else {}),
        **({"notes": listed.notes} if listed.notes else {}),
    }


def read_sides(
    source: Source,
    root: Path,
    listed: Listed,
    shape: tuple[int, ...],
    scratch: Path,
    track: Callable[..., Iterator[Any]] = silent,
) -> tuple[dict[str, Images | None], list[str]]:
    """Read every record and split the patients into train, holdout, test, dev and fresh.

    Raises:
        DataError: The source has another dimension than the task, an image cannot be read, or there are too few
            patients.
    """
    if source.dim < len(shape):
        raise DataError(f"{source.name} holds 2D images; choose a 2D task: {', '.join(source.tasks)}")
    pixels, faults = read_pixels(source, root, listed, shape, scratch, track)
    notes = list(listed.notes)
    records, told = listed.records, list(listed.sides)
    if faults:
        notes.append(
            f"{counted(len(faults), 'image that cannot be read was', 'images that cannot be read were')} left out "
            f"(--skip-unreadable): {next(iter(faults.values()))}"
        )
        kept = [index for index in range(len(records)) if index not in faults]
        records, pixels = [records[index] for index in kept], pixels[kept]
        told = [told[index] for index in kept] if told else []
    patients = np.array([record.patient for record in records], dtype=np.str_)
    groups, joined = join_duplicates(pixels, patients)
    if listed.split is None:
        sides = deal_listed(groups, np.array([record.test for record in records]))
        rule = f"split rule {source.name}/{source.version}-{SPLIT_VERSION}, ids {ids_digest(records)}"
    else:
        groups, joined = patients, shared_between(groups, told)
        sides = {side: np.unique(patients[np.array(told) == side]) for side in SIDES if side in told}
        rule = f"published split {listed.split.data}, ids {listed.split.ids}"
    images = Images(pixels, patients, np.array([record.scan for record in records], dtype=np.str_))
    notes = [
        f"{source.title}, {rule}",
        *notes,
        *joined,
    ]
    if "dev" not in sides:
        notes.append("too few patients to set some aside for the detector; it cross-fits over train and holdout")
    return {name: images.take(np.isin(groups, chosen)) for name, chosen in sides.items()}, notes


def shared_between(groups: NDArray[np.str_], told: list[str]) -> list[str]:
    """What to say of identical images of patients who stand on two sides of a published split.

    The split stays as it was published: all must mean the same patients by it.

    Args:
        groups: (N,) the patient of each image; patients that share an image are one.
        told: The side of each image.
    """
    where: dict[str, set[str]] = {}
    for group, side in zip(groups.tolist(), told, strict=True):
        where.setdefault(group, set()).add(side)
    if count := sum(len(sides) > 1 for sides in where.values()):
        return [
            f"{count} patients or groups of patients that share an identical image stand on two sides of the published "
            "split: copies of such an image count for neither side"
        ]
    return []


def deal_listed(groups: NDArray[np.str_], test: NDArray[np.bool_]) -> dict[str, NDArray[np.str_]]:
    """Split patients: those on the publisher's test list into test and fresh, the others into the rest.

    Train and holdout are drawn from the same list, since the measure needs them to be exchangeable. Where the list
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
    listed: Listed,
    shape: tuple[int, ...],
    scratch: Path,
    track: Callable[..., Iterator[Any]] = silent,
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """(N, *shape) all records, memory-mapped in ``scratch``, and why some could not be read, by their index.

    What an earlier attempt finished is not read again.

    Raises:
        DataError: An image cannot be read, and that is not to be skipped.
    """
    records = listed.records
    target, marks = scratch / "pixels.npy", scratch / "done.npy"
    if not marks.exists():
        np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(len(records), *shape)).flush()
        np.save(marks, np.zeros(len(records), dtype=np.uint8))
    pixels = np.load(target, mmap_mode="r+")
    done = np.load(marks, mmap_mode="r+")
    open_jobs = np.flatnonzero(done == 0).tolist()
    faults: dict[int, str] = {}

    def fill(index: int) -> None:
        try:
            pixels[index] = read_one(source, root, records[index], shape)
        except DataError as error:
            if not listed.skip_unreadable:
                raise
            faults[index] = str(error)
            return
        done[index] = 1

    with ThreadPoolExecutor(workers()) as pool:
        try:
            for _ in track(pool.map(fill, open_jobs), f"preparing {source.name}", len(open_jobs)):
                pass
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    pixels.flush()
    filled: NDArray[np.float32] = pixels
    return filled, dict(sorted(faults.items()))


def read_one(source: Source, root: Path, record: Record, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One record as float32 in [0, 1] of the wanted shape.

    Raises:
        DataError: It cannot be read, or is no image; the message names the file.
    """
    name = f"{source.name}: {shown(record.files[0])}"
    try:
        return shaped(source.read(root, record), source.recipe, shape)
    except Unreadable as error:
        raise DataError(f"{name} {error}; fetch it again, or leave it out with --skip-unreadable") from error
    except Exception as error:  # broken files make the libraries raise whatever comes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{name} cannot be read ({reason}); fetch it again, or leave it out with --skip-unreadable"
        ) from error


def shaped(raw: Raw, recipe: Recipe, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Scale, crop and resample an image; a 2D shape takes the middle slice of a volume.

    Raises:
        Unreadable: It is no image.

    >>> shaped(Raw(np.arange(64, dtype=np.uint8).reshape(4, 4, 4)), Recipe(), (2, 2)).shape
    (2, 2)
    """
    if raw.stored.ndim not in (2, 3):
        raise Unreadable(f"holds an array of {raw.stored.ndim} axes, no image")
    if raw.stored.ndim == 3 and len(shape) == 2:
        middle = len(raw.stored) // 2
        raw = replace(
            raw,
            stored=raw.stored[middle],
            spacing=None if raw.spacing is None else raw.spacing[1:],
            background=None if raw.background is None else raw.background[middle],
        )
    unit = scaled(raw, recipe)
    if recipe.field_mm is not None and raw.spacing is not None:
        unit = _centre(unit, [round(recipe.field_mm / step) for step in raw.spacing])
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
