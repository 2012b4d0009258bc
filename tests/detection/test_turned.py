from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.turned import box_as_it_was, turned_back
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

Pixels = NDArray[np.float32]


def bodies(count: int, seed: int, shape: tuple[int, int] = (48, 48)) -> Pixels:
    """One body for all, with coarse detail of each one's own."""
    common = gaussian_filter(np.random.default_rng(99).random(shape), 4)
    rng = np.random.default_rng(seed)
    own = np.stack([gaussian_filter(rng.random(shape), 2) for _ in range(count)])
    made = 6 * (common - 0.5) + 2 * (own - 0.5) + 0.5
    return np.clip(made, 0, 1).astype(np.float32)


REAL = bodies(20, 0)


def agreement(first: Pixels, second: Pixels) -> float:
    inner = (slice(12, 36), slice(12, 36))
    return float(np.corrcoef(first[inner].ravel(), second[inner].ravel())[0, 1])


@pytest.mark.parametrize("degrees", [37.0, 90.0, 180.0, 301.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_turned_by_any_angle_are_turned_back(degrees: float, mirrored: bool) -> None:
    made = np.stack([rotate(image, degrees, reshape=False, order=1, mode="nearest") for image in REAL[:4]])
    made = np.ascontiguousarray(made[:, :, ::-1]) if mirrored else made
    turned = turned_back(np.clip(made, 0, 1), REAL)
    assert turned.rows.tolist() == [0, 1, 2, 3]
    assert min(agreement(turned.pixels[k], REAL[k]) for k in range(4)) > 0.9


def test_inverted_and_framed_copies_are_brought_back() -> None:
    made = 1 - REAL[:3]
    framed = np.zeros((1, 48, 48), dtype=np.float32)
    framed[0, 12:36, 12:36] = REAL[3, ::2, ::2]
    turned = turned_back(np.concatenate([made, framed]), REAL)
    assert turned.rows.tolist() == [0, 1, 2, 3]
    assert min(agreement(turned.pixels[k], REAL[k]) for k in range(4)) > 0.85
    box = box_as_it_was(np.array([[0, 24], [0, 48]]), turned.poses[3], (48, 48))
    assert np.abs(box - [[12, 24], [12, 36]]).max() <= 1


def test_images_as_they_stand_are_left_alone_and_the_null_has_two_tries_always() -> None:
    others = bodies(6, 1)
    assert len(turned_back(others, REAL).rows) == 0
    assert turned_back(others, REAL, always=True).rows.tolist() == list(range(6))
    assert len(turned_back(others[:0], REAL).rows) == 0


def test_own_patients_are_passed_over() -> None:
    made = np.ascontiguousarray(np.rot90(REAL[:1], 1, (1, 2)))
    passed = np.zeros((1, 20), dtype=bool)
    found = turned_back(made, REAL, passed)
    passed[0, 0] = True
    again = turned_back(made, REAL, passed)
    assert agreement(found.pixels[0], REAL[0]) > 0.95
    assert len(again.rows) <= 1
