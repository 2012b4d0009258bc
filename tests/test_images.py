from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.images import Images

Make = Callable[..., Images]


def test_saved_images_come_back_memory_mapped(make_images: Make, tmp_path: Path) -> None:
    images = make_images(5, scans=2)
    images.save(tmp_path)
    back = Images.load(tmp_path)
    assert isinstance(back.pixels, np.memmap)
    assert back.digest == images.digest
    assert back.patient_count == 5
    assert np.array_equal(back.pixels, images.pixels)


def test_digest_sees_pixels_ids_and_order(make_images: Make) -> None:
    images = make_images(4)
    other = images.pixels.copy()
    other[0, 0, 0] = 1 - other[0, 0, 0] / 2
    assert Images(other, images.patients, images.scans).digest != images.digest
    assert images.take(np.array([1, 0, 2, 3])).digest != images.digest
    assert images.take(np.arange(4)).digest == images.digest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_values_outside_the_range_are_refused(make_images: Make, bad: float) -> None:
    images = make_images(4)
    pixels = images.pixels.copy()
    pixels[1, 2, 3] = bad
    with pytest.raises(DataError, match=r"bring them to \[0, 1\]"):
        Images(pixels, images.patients, images.scans)


def test_wrong_arrays_are_refused(make_images: Make) -> None:
    images = make_images(4)
    with pytest.raises(DataError, match="give float32"):
        Images(images.pixels.astype(np.float64), images.patients, images.scans)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="3 patient ids"):
        Images(images.pixels, images.patients[:3], images.scans)


def test_some_patients_are_whole_and_blind_to_order(make_images: Callable[..., Images]) -> None:
    images = make_images(patients=20, scans=3)
    some = images.some_patients(20, np.random.default_rng(0))
    assert len(some) == 18  # six patients with three images each
    assert some.patient_count == 6
    moved = images.take(np.random.default_rng(1).permutation(60)).some_patients(20, np.random.default_rng(0))
    assert set(moved.patients) == set(some.patients)
    assert images.some_patients(60, np.random.default_rng(0)) is images
    assert images.some_patients(1, np.random.default_rng(0)).patient_count == 1
    drawn = {name for seed in range(30) for name in images.some_patients(9, np.random.default_rng(seed)).patients}
    assert len(drawn) == 20


def test_mapped_images_give_their_pages_back_and_are_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"p{k}" for k in range(6)])
    kept = Images(rng.random((6, 64, 64), dtype=np.float32), names, names)
    kept.save(tmp_path)
    mapped = Images.load(tmp_path)
    assert isinstance(mapped.pixels.base, mmap.mmap)  # else nothing is given back
    both = mapped.joined(mapped)
    assert np.array_equal(both.pixels, np.concatenate([kept.pixels, kept.pixels]))
    assert both.contents.tolist() == [*kept.contents.tolist()] * 2
    assert np.array_equal(mapped.contents, kept.contents)
    assert np.array_equal(mapped.pixels, kept.pixels)
