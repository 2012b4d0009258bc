"""Preparing PNG images against a plain loop over Pillow, and opening the cache again.

    pytest tests/benchmarks/test_preparation_speed.py -s

writes 20,000 generated PNGs of 256x256 (MEMOBENCH_BENCHMARK_SIZE=2000 is a small run) and prints the ratio of the
speeds, which should not be below 0.6, and the time of a second start, which should be below a second. The images are
asserted to be equal, times are not.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import numpy as np
import pytest
from memobench.sources import load_splits
from memobench.store import Store
from memobench.task import TASKS
from PIL import Image

IMAGES = int(os.environ.get("MEMOBENCH_BENCHMARK_SIZE", "20000"))
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
            coarse = random.integers(0, 256, (32, 32), dtype=np.uint8)
            name = f"{patient:08d}_{visit:03d}.png"
            smooth = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
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


def test_speed(root: Path, tmp_path: Path) -> None:
    begin = time.perf_counter()
    expected = plain_loop(root)
    plain = time.perf_counter() - begin

    def start() -> tuple[float, np.ndarray, bool]:
        begin = time.perf_counter()
        splits, _, stored = load_splits(TASKS.get("xray"), f"chestxray14={root}", SIDE, store=Store(tmp_path / "store"))
        taken = time.perf_counter() - begin
        sides = [side for side in (splits.train, splits.holdout, splits.test, splits.fresh, splits.dev) if side]
        order = np.argsort(np.concatenate([side.scans for side in sides]))
        return taken, np.concatenate([side.pixels for side in sides])[order], stored

    first, images, stored = start()
    second, again, stored_again = start()
    assert (stored, stored_again) == (False, True)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(again, expected)
    print(  # noqa: T201  (the table is what this is for)
        f"\n{IMAGES} PNG: plain loop {plain:.1f} s, prepared, split and stored {first:.1f} s "
        f"(ratio of the speeds {plain / first:.2f}); second start {second:.2f} s"
    )
