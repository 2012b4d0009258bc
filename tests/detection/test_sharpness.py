from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.sharpness import LEVELS, blur_levels, blurred
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def textures(count: int, seed: int, shape: tuple[int, ...] = (64, 64)) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    made = [gaussian_filter(rng.random(shape), 0.5) + 8 * gaussian_filter(rng.random(shape), 5) for _ in range(count)]
    values = np.stack(made)
    return ((values - values.min()) / np.ptp(values)).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (128, 96), (24, 24, 24)])
def test_the_blur_of_images_of_others_is_recognised(shape: tuple[int, ...]) -> None:
    real, others = textures(12, 0, shape), textures(8, 1, shape)
    for number, level in enumerate(LEVELS):
        found = blur_levels(blurred(others, level), real)
        assert (found == number).mean() >= 0.75


def test_noise_makes_nothing_blurred_and_nothing_is_done_to_sharp_images() -> None:
    real = textures(12, 0)
    noisy = np.clip(textures(4, 1) + np.random.default_rng(0).normal(0, 0.05, (4, 64, 64)), 0, 1).astype(np.float32)
    assert blur_levels(noisy, real).tolist() == [0] * 4
    assert blurred(real, 0.0) is real
    assert blur_levels(real[:0], real).shape == (0,)
