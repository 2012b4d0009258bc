"""Near-identical synthetic images are found, and unlike ones are left apart."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.memorization.repeats import repeats
from scipy.ndimage import gaussian_filter


def shapes(count: int, seed: int, dim: int = 2, side: int = 64) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(count, *[side] * dim))
    smooth = np.stack([gaussian_filter(one, side / 20) for one in noise])
    smooth /= np.abs(smooth).max(axis=tuple(range(1, dim + 1)), keepdims=True)
    return (0.5 + 0.4 * smooth).astype(np.float32)


@pytest.mark.parametrize(("dim", "side"), [(2, 64), (2, 32), (2, 200), (3, 20)])
def test_noise_brightness_and_contrast_hide_no_repeat(dim: int, side: int) -> None:
    source = np.random.default_rng(0).integers(5, size=40)
    made = shapes(5, 1, dim, side)[source]
    made = (
        0.8 * made
        + np.random.default_rng(2).normal(0, min(0.04, side / 1600), size=made.shape).astype(np.float32)
        + 0.05
    )
    number = repeats(np.clip(made, 0, 1).astype(np.float32))
    assert len(np.unique(number)) == len(np.unique(source))
    assert len(np.unique(np.stack([number, source]), axis=1).T) == len(np.unique(source))


def test_different_images_stay_apart() -> None:
    assert repeats(shapes(60, 3)).tolist() == list(range(60))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = shapes(7, 4, side=32)[np.random.default_rng(5).integers(7, size=50)]
    made = (made + np.random.default_rng(6).normal(0, 0.02, size=made.shape)).astype(np.float32)
    whole = repeats(made)
    monkeypatch.setattr("memobench.memorization.repeats.BLOCK", 4)
    assert (repeats(made) == whole).all()


def test_even_images_repeat_each_other_and_none_give_none() -> None:
    assert repeats(np.full((3, 16, 16), 0.5, dtype=np.float32)).tolist() == [0, 0, 0]
    assert len(repeats(np.zeros((0, 16, 16), dtype=np.float32))) == 0
