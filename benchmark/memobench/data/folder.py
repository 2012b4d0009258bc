"""A folder of real images with a ``manifest.csv``: read, checked, brought to one shape, and split by patient.

The manifest has the columns ``file`` and ``patient_id``, and optionally ``scan_id``. Files are listed, read, checked
and scaled as in an audit (:mod:`memobench.data.files`). Every image is resampled to the task's shape by antialiased
linear interpolation, each axis on its own: the whole image is kept and its aspect is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError
from memobench.base.progress import silent
from memobench.base.seeds import generator_for
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import SCALING_VERSION
from memobench.data.files.prepare import prepare
from memobench.data.files.walk import counted
from memobench.data.manifest import Manifest
from memobench.data.nearly_same import nearly_same, persons
from memobench.images import Images

VERSION = "1"  # of the split rule
MIN_PATIENTS = 12
COMPARED = 20_000  # images, at most, that are compared with each other
DEV_PATIENTS = 64  # fewer teach the detector too little; then it cross-fits over train and holdout


def key(manifest: Manifest, shape: tuple[int, ...], *, skip_unreadable: bool = False) -> dict[str, Any]:
    """What the sides depend on: every file's name and content, the ids, the shape, the versions of the rules."""
    sha = hashlib.sha256()
    for file, patient, scan in zip(manifest.files, manifest.patients, manifest.scans, strict=True):
        with file.open("rb") as handle:
            content = hashlib.file_digest(handle, "sha256").hexdigest()
        sha.update("\x1f".join([str(file.relative_to(manifest.root)), patient, scan, content, ""]).encode())
    return {
        "source": "folder",
        "version": VERSION,
        "scaling": SCALING_VERSION,
        "content": sha.hexdigest(),
        "shape": shape,
        **({"skip_unreadable": True} if skip_unreadable else {}),
    }


def read_sides(
    manifest: Manifest,
    shape: tuple[int, ...],
    track: Callable[..., Iterator[Any]] = silent,
    *,
    skip_unreadable: bool = False,
) -> tuple[dict[str, Images | None], list[str]]:
    """Read every image as an audit does, and split the patients into train, holdout, test, dev and fresh.

    Raises:
        DataError: A file cannot be read, has another dimension than the task, holds NaN or one value only; or there
            are fewer patients than the split needs.
    """
    found = inspect_folder(manifest.root, dim=len(shape), skip_unreadable=skip_unreadable, track=track)
    images = prepare(found, shape, track=track)
    notes = [f"{one.count} {one.kind} images, {one.low:g} to {one.high:g}, {one.scaling}" for one in found.found]
    notes += found.notes
    if found.unreadable:
        notes.append(f"{len(found.unreadable)} files that cannot be used were left out (--skip-unreadable)")
    originals = {item.shape for item in found.items}
    if originals != {shape}:
        sizes = "one size" if len(originals) == 1 else f"{len(originals)} sizes"
        notes.append(f"images of {sizes} were resampled to {'x'.join(map(str, shape))}")
    groups, joined = join_duplicates(images.pixels, images.patients)
    groups, more = join_persons(images.pixels, groups)
    notes += [*joined, *more]
    images = replace(images, patients=groups)  # else one's own image would set the threshold for copies
    sides = deal(groups)
    if "dev" not in sides:
        notes.append("too few patients to set some aside for the detector; it cross-fits over train and holdout")
    return {name: images.take(np.isin(groups, chosen)) for name, chosen in sides.items()}, notes


def deal(groups: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """Split patients by a seeded draw: train and holdout equal, test and fresh, and dev where there are enough.

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


def join_persons(pixels: NDArray[np.float32], groups: NDArray[np.str_]) -> tuple[NDArray[np.str_], list[str]]:
    """Patients with images that are nearly the same become one group too, being probably one person under two ids.

    Args:
        pixels: (N, *S).
        groups: (N,) of :func:`join_duplicates`.

    Returns:
        (N,) the group of each image, and a note on what was found.
    """
    if len(pixels) > COMPARED:
        return groups, [
            f"the {len(pixels)} images were not compared with each other to find one person under two ids: more than "
            f"{COMPARED} take too long"
        ]
    one = persons(groups, nearly_same(pixels, groups))
    if not one:
        return groups, []
    note = (
        counted(len(one), "patient has", "patients have")
        + f" an image that is nearly the same as another's; they stand on one side as "
        f"{len(set(one.values()))}, since they seem to be the same people under several ids"
    )
    return np.array([one.get(name, name) for name in groups.tolist()]), [note]


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
        counted(shared, "image is", "images are")
        + f" identical to an image of another patient; the {joined} patients that share images are "
        "treated as one wherever they meet, so that none stands on two sides"
    ]
