"""The embedded data: a parametric anatomy engine that draws patients, so that no download is needed to start.

Every patient is fixed by (version, seed, patient number) and every scan of a patient by its number too, to the byte,
on every platform (see ``arithmetic`` and ``random``).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from itertools import repeat
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.processors import workers
from memobench.base.progress import silent
from memobench.base.spawned import without_main
from memobench.base.words import Size
from memobench.data.phantom.random import Stream
from memobench.data.resample import resize
from memobench.images import Images
from memobench.task import TaskInfo

VERSION = "1"

# family -> (module of this package, function); imported on use
FAMILIES = {
    "radiograph": ("radiograph", "draw"),
    "chest_ct_slice": ("chest_ct", "draw_slice"),
    "chest_ct_volume": ("chest_ct", "draw_volume"),
    "knee_slice": ("knee_mr", "draw_slice"),
    "knee_volume": ("knee_mr", "draw_volume"),
}


def draw(family: str, patient: int, scan: int, *, size: Size, seed: int = 0) -> NDArray[np.uint8]:
    """One image of one scan of one patient, as bytes of the shape.

    Whatever the shape, the whole field of view is in it, so pixels are not square where the sides are unequal. A volume
    is drawn with as many planes as are asked for. Planes are drawn as squares of their longer side, and where the other
    is shorter, resampled to it by antialiased linear interpolation.

    Args:
        family: One of :data:`FAMILIES`.
        patient: Number of the patient.
        scan: Number of the scan.
        size: Side of a square or cube, or the shape (H, W) or (D, H, W).
        seed: Of another population.

    >>> draw("radiograph", 0, 0, size=32).shape, draw("radiograph", 0, 0, size=(48, 32)).shape
    ((32, 32), (48, 32))
    """
    module, function = FAMILIES[family]
    function_of_family = getattr(import_module(f"{__name__}.{module}"), function)
    if isinstance(size, int) or len(set(size)) == 1:
        side = size if isinstance(size, int) else size[0]
        square: NDArray[np.uint8] = function_of_family(patient, scan, size=side, seed=seed)
        return square
    planes = {"planes": size[0]} if len(size) == 3 else {}
    image: NDArray[np.uint8] = function_of_family(patient, scan, size=max(size[-2:]), seed=seed, **planes)
    return image if image.shape == size else _resampled(image, size)


def _resampled(image: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    values = image.astype(np.float32) / np.float32(255)
    resampled: NDArray[np.uint8] = np.rint(resize(values, shape) * np.float32(255)).astype(np.uint8)
    return resampled


def scan_count(family: str, patient: int, seed: int = 0) -> int:
    """How many scans a patient of train or holdout has: one (60%), two (30%) or three."""
    share = Stream("scan count", VERSION, family, seed, patient).uniform()
    return 1 if share < 0.6 else 2 if share < 0.9 else 3


def key(task: TaskInfo, shape: tuple[int, ...]) -> dict[str, Any]:
    """What the drawn sides depend on, and the bytes that the task promises, so that stored ones are never others."""
    sizes = task.split
    patients = [sizes.train, sizes.test, sizes.dev, sizes.fresh]
    return {
        "source": "phantom",
        "version": VERSION,
        "family": task.family,
        "shape": shape,
        "patients": patients,
        "digest": task.digest,
    }


def draw_sides(
    task: TaskInfo, shape: tuple[int, ...], track: Callable[..., Iterator[Any]] = silent
) -> tuple[dict[str, Images | None], list[str]]:
    """Draw all sides of a task, on all processors.

    Patients are independent draws, so consecutive numbers are as random a split as any. Train and holdout have one to
    three scans per patient, as real collections do; the other sides have one.
    """
    sizes = task.split
    counts = {
        "train": sizes.train,
        "holdout": sizes.train,
        "test": sizes.test,
        "dev": sizes.dev,
        "fresh": sizes.fresh,
    }
    wanted: list[tuple[int, int]] = []
    first, starts = 0, {}
    for side, count in counts.items():
        starts[side] = len(wanted)
        for patient in range(first, first + count):
            scans = scan_count(task.family, patient) if side in ("train", "holdout") else 1
            wanted += [(patient, scan) for scan in range(scans)]
        first += count
    pixels = _draw_many(task.family, wanted, shape, track)
    patients = np.array([f"{task.family}-{p:06d}" for p, _ in wanted])
    scans_of = np.array([f"{task.family}-{p:06d}-{s}" for p, s in wanted])
    ends = [*starts.values(), len(wanted)][1:]
    parts = {side: slice(start, end) for (side, start), end in zip(starts.items(), ends, strict=True)}
    return {side: Images(pixels[part], patients[part], scans_of[part]) for side, part in parts.items()}, []


def _draw_many(
    family: str, scans: list[tuple[int, int]], shape: tuple[int, ...], track: Callable[..., Iterator[Any]]
) -> NDArray[np.float32]:
    blocks = [scans[i : i + 16] for i in range(0, len(scans), 16)]
    count = min(workers(), len(blocks))
    pixels = np.empty((len(scans), *shape), dtype=np.float32)

    def fill(drawn: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
        done = 0
        for part in track(drawn, "drawing patients", len(blocks)):
            np.divide(part, np.float32(255), out=pixels[done : done + len(part)], dtype=np.float32)
            done += len(part)
        return pixels

    if count == 1:
        return fill(map(_draw_block, repeat(family), blocks, repeat(shape)))
    # spawn: forking a process in which torch has started threads can hang
    with ProcessPoolExecutor(count, get_context("spawn"), _leave_interrupts_to_the_parent) as pool:
        try:
            with without_main():
                drawn = pool.map(_draw_block, repeat(family), blocks, repeat(shape))
            return fill(drawn)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _draw_block(family: str, scans: list[tuple[int, int]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.stack([draw(family, patient, scan, size=shape) for patient, scan in scans])
