"""Preparing PNG images against a plain loop over Pillow, and opening the cache again.

    pytest tests/benchmarks/test_preparation_speed.py -s

writes 2,000 generated PNGs of 128x128 (MEMOBENCH_BENCHMARK_SIZE=20000 is the published run, and
MEMOBENCH_BENCHMARK_SIDE their side in pixels) and prints the ratio of the speeds, which should not be below 0.6, and
the time of a second start, which should be below a second. Both sides run twice in the order plain, prepared,
prepared, plain, so that a machine that is busy with other work slows both alike; the processor times ("busy", of all
threads) are what such work disturbs least. The images are asserted to be equal, times are not.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.store import Store
from memobench.data.splits import load_splits
from memobench.task import TASKS, Splits
from PIL import Image

IMAGES = int(os.environ.get("MEMOBENCH_BENCHMARK_SIZE", "2000"))
PNG_SIDE = int(os.environ.get("MEMOBENCH_BENCHMARK_SIDE", "128"))
SIDE = 64


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nih")
    (root / "images_001").mkdir()
    random = np.random.default_rng(0)
    with (root / "Data_Entry_2017_v2020.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Image Index", "Patient ID"])
        for number in range(IMAGES):
            patient, visit = number // 5, number % 5
            coarse = random.integers(0, 256, (PNG_SIDE // 8, PNG_SIDE // 8), dtype=np.uint8)
            name = f"{patient:08d}_{visit:03d}.png"
            smooth = Image.fromarray(coarse).resize((PNG_SIDE, PNG_SIDE), Image.Resampling.BICUBIC)
            smooth.save(root / "images_001" / name, compress_level=1)
            writer.writerow([name, patient])
    return root


def plain_loop(root: Path) -> np.ndarray:
    images = []
    for file in sorted((root / "images_001").iterdir()):
        with Image.open(file) as image:
            small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        images.append(np.asarray(small, dtype=np.float32) / np.float32(255))
    return np.stack(images)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a function gives, its seconds, and its seconds of processor time in all threads."""
    wall, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - busy


def pixels(splits: Splits) -> np.ndarray:
    """The images of all sides in the order of their names."""
    sides = [side for side in (splits.train, splits.holdout, splits.test, splits.fresh, splits.dev) if side]
    order = np.argsort(np.concatenate([side.scans for side in sides]))
    return np.concatenate([side.pixels for side in sides])[order]


def test_speed(root: Path, tmp_path: Path) -> None:
    def start(store: str) -> tuple[Splits, Path, bool]:
        return load_splits(TASKS.get("xray"), f"chestxray14={root}", SIDE, store=Store(tmp_path / store))

    expected, *plain = timed(lambda: plain_loop(root))
    times: dict[str, list[list[float]]] = {"plain": [plain], "prepared": []}
    for store in ("first", "second"):
        (splits, _, stored), *taken = timed(lambda store=store: start(store))
        assert not stored
        np.testing.assert_array_equal(pixels(splits), expected)
        times["prepared"].append(taken)
    times["plain"].append(list(timed(lambda: plain_loop(root))[1:]))
    (splits, _, stored), again, again_busy = timed(lambda: start("first"))
    assert stored
    np.testing.assert_array_equal(pixels(splits), expected)

    (plain_wall, plain_busy), (wall, busy) = (np.sum(times[name], axis=0) for name in ("plain", "prepared"))
    print(  # noqa: T201  (the table is what this is for)
        f"\n{IMAGES} PNG of {PNG_SIDE}x{PNG_SIDE}, twice: plain loop {plain_wall:.1f} s ({plain_busy:.1f} s busy); "
        f"prepared, split and stored {wall:.1f} s ({busy:.1f} s busy)\n"
        f"ratio of the speeds {plain_wall / wall:.2f} (of the processor times {plain_busy / busy:.2f}); "
        f"second start {again:.2f} s ({again_busy:.2f} s busy)"
    )
