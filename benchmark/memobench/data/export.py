"""A task's images, or a run's samples, written as ordinary files: for other tools, and to try ``bench audit``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.base.errors import DataError, MemobenchError
from memobench.base.store import writing_into
from memobench.images import Images


def export_images(images: Images, folder: Path) -> None:
    """Write images with a ``manifest.csv`` into a new folder, as ``--data`` and ``bench audit`` read it.

    Args:
        images: What to write: 2D as 8-bit PNG, 3D as 8-bit NPZ.
        folder: Made here.

    Raises:
        DataError: The folder is not empty.
    """
    names = export_pixels(images.pixels, folder)
    with writing_into(folder), (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "patient_id", "scan_id"])
        writer.writerows(zip(names, images.patients.tolist(), images.scans.tolist(), strict=True))


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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder; give a new one")
    names = []
    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(pixels):
            values = np.rint(image * 255).astype(np.uint8)
            names.append(f"{number:05d}.{'png' if values.ndim == 2 else 'npz'}")
            if values.ndim == 2:
                Image.fromarray(values).save(folder / names[-1])
            else:
                np.savez_compressed(folder / names[-1], vol=values)
    return names
