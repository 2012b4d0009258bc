"""A task's images, or a run's samples, written as ordinary files: to train a model of your own on, and for other tools.

Images are written as 8-bit images, as which they are measured, so what is exported from the embedded data and measured
again is the same to the bit. Real images are rounded to 8 bit.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.progress import Track, silent
from memobench.base.store import Store, writing_into
from memobench.data.public._source import named_source
from memobench.data.splits import load_splits
from memobench.images import Images
from memobench.settings import ExportSettings
from memobench.task import TASKS, Splits, TaskInfo

SIDES = ("train", "holdout", "test")
NOTE = "README.md"


def export(asked: ExportSettings, *, track: Track = silent) -> list[str]:
    """Write a task's images, with a note on what they are and under which licence.

    Args:
        asked: What to do.
        track: Shows progress.

    Returns:
        What was written, as names within the folder.

    Raises:
        UsageError: An unknown task or side, or volumes as an imagefolder.
        DataError: The folder is not empty, or the data cannot be used.
    """
    task, sides = TASKS.get(asked.task), asked.only or SIDES
    if odd := [name for name in sides if name not in SIDES]:
        raise UsageError(f"--only {odd[0]}: there is no such side; give any of {','.join(SIDES)}")
    if asked.layout == "imagefolder" and task.dim == 3:
        raise UsageError("an imagefolder holds 2D images; export volumes with --layout files or npz")
    _check_new(asked.folder)
    splits, _, _ = load_splits(task, asked.data, asked.size, store=Store(asked.out / ".stages"), track=track)
    written = []
    for name in sides:
        written.append(_WRITERS[asked.layout](getattr(splits, name), asked.folder / name).name)
    if asked.run is not None:
        export_samples(asked.run, asked.folder / "synthetic")
        written.append("synthetic")
    with writing_into(asked.folder):
        (asked.folder / NOTE).write_text(note(asked, task, splits, sides), encoding="utf-8", newline="\n")
    return [*written, NOTE]


def export_images(images: Images, folder: Path) -> Path:
    """Write images with a ``manifest.csv`` into a new folder, as ``--data`` and ``bench audit`` read it.

    Args:
        images: What to write: 2D as 8-bit PNG, 3D as 8-bit NPZ.
        folder: Made here.

    Raises:
        DataError: The folder is not empty.
    """
    names = export_pixels(images.pixels, folder)
    _table(folder / "manifest.csv", ("file", "patient_id", "scan_id"), names, images)
    return folder


def export_samples(run: Path, folder: Path) -> None:
    """Write the samples of a finished run into a new folder.

    Args:
        run: The run's folder.
        folder: Made here.

    Raises:
        MemobenchError: The run has no samples.
        DataError: The folder is not empty.
    """
    file = run / "samples.npz"
    if not file.is_file():
        raise MemobenchError(f"{run} has no samples.npz; give the folder of a finished run, which bench run prints")
    with np.load(file, allow_pickle=False) as archive:
        export_pixels(archive["samples"], folder)


def export_pixels(pixels: NDArray[np.float32], folder: Path) -> list[str]:
    """Write (N, *S) values in [0, 1] as numbered files, and give their names.

    Raises:
        DataError: The folder is not empty.
    """
    _check_new(folder)
    names = []
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(pixels):
            values = _bytes(image)
            names.append(f"{number:05d}.{'png' if values.ndim == 2 else 'npz'}")
            if values.ndim == 2:
                Image.fromarray(values).save(folder / names[-1])
            else:
                np.savez_compressed(folder / names[-1], vol=values)
    return names


def note(asked: ExportSettings, task: TaskInfo, splits: Splits, sides: Sequence[str]) -> str:
    """What the folder holds, whose it is, and how a model that learned from it is measured; in Markdown.

    An imagefolder's note is its data set card, which names the sides for ``datasets.load_dataset``.
    """
    licence, citation, access = _terms(asked.data, task)
    counts = [
        f"- {name}: {len(images)} images of {images.patient_count} patients"
        for name in sides
        for images in [getattr(splits, name)]
    ]
    card = [f'  - split: {name}\n    path: "{name}/**"' for name in sides]
    head = ["---", "configs:", "- config_name: default", "  data_files:", *card, "---", ""]
    size = "" if asked.size is None else f" --size {asked.size}"
    data = "" if asked.data == "phantom" else f" --data {asked.data.partition('=')[0]}=DIR" if access else " --data DIR"
    lines = [
        f"# Task {task.name} of memobench, version {task.version}",
        "",
        f"{task.modality.capitalize()}, {'x'.join(map(str, splits.train.shape))}, 8 bit grey; split digest "
        f"`{splits.digest}`.",
        "",
        *counts,
        "",
        "Train on `train` alone. `holdout` shows what chance alone matches and `test` is the reference for quality: a",
        "generator that has seen either is not measured but misjudged, and the measure looks for that.",
        "",
        f"Licence: {licence}. Cite: {citation}.",
        *([access] if access else []),
        "",
        "Measure samples of a model that learned from `train`:",
        "",
        f"    bench measure --task {task.name}{data}{size} --samples DIR --name mine --trained-on task",
        "",
    ]
    return "\n".join([*(head if asked.layout == "imagefolder" else []), *lines])


def _terms(data: str, task: TaskInfo) -> tuple[str, str, str]:
    """Licence, citation and other terms of use of the images."""
    if data == "phantom":
        return task.licence, task.citation, ""
    if named := named_source(data):
        source = named.source
        more = "" if source.access == "open" else " They were given to you on registration: hand them on to nobody."
        return source.licence, source.citation, f"These are images of patients, from {source.title}.{more}"
    return "that of your own images", "their source", ""


def _write_npz(images: Images, folder: Path) -> Path:
    """One NPZ file: ``images`` (N, *S) uint8, ``patient_id`` and ``scan_id`` (N,)."""
    file = folder.with_name(f"{folder.name}.npz")
    with writing_into(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        values = np.stack([_bytes(image) for image in images.pixels])
        np.savez_compressed(file, images=values, patient_id=images.patients, scan_id=images.scans)
    return file


def _write_imagefolder(images: Images, folder: Path) -> Path:
    """PNG files with a ``metadata.csv``, as ``datasets.load_dataset("imagefolder")`` reads them."""
    names = export_pixels(images.pixels, folder)
    _table(folder / "metadata.csv", ("file_name", "patient_id", "scan_id"), names, images)
    return folder


def _table(file: Path, columns: Sequence[str], names: Sequence[str], images: Images) -> None:
    with writing_into(file.parent), file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(names, images.patients.tolist(), images.scans.tolist(), strict=True))


def _bytes(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.rint(np.asarray(image) * 255).astype(np.uint8)
    return found


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder; give a new one")


_WRITERS = {"files": export_images, "npz": _write_npz, "imagefolder": _write_imagefolder}
