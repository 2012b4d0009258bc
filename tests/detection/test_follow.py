"""A deformed copy is followed, and a stranger gains little by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from memobench.challenge.groups import elastic
from memobench.detection.cells import Grid
from memobench.detection.follow import follow
from scipy.ndimage import gaussian_filter
from torch import Tensor


def banded(shape: tuple[int, ...], share: float) -> tuple[Grid, Tensor, Tensor]:
    rng = np.random.default_rng(0)
    images = np.stack([gaussian_filter(rng.random(shape), 1.2) for _ in range(3)]).astype(np.float32)
    images = (images - images.min()) / np.ptp(images)
    grid = Grid.of(shape)
    real, query = (
        grid.banded(torch.from_numpy(one)[:, None])
        for one in (images, elastic(images, share, np.random.default_rng(1)))
    )
    return grid, query, real


def agreement(grid: Grid, first: Tensor, second: Tensor) -> float:
    return float((grid.cut(first) * grid.cut(second)).sum(dim=2).mean())


@pytest.mark.parametrize(
    ("shape", "share", "gain"), [((64, 64), 4 / 64, 0.3), ((64, 64), 6 / 64, 0.4), ((24, 24, 24), 4 / 24, 0.07)]
)
def test_a_deformed_copy_is_followed_and_a_stranger_gains_little(
    shape: tuple[int, ...], share: float, gain: float
) -> None:
    grid, query, real = banded(shape, share)
    before, after = agreement(grid, query, real), agreement(grid, query, follow(query, real, grid.cell))
    stranger = real.roll(1, 0)
    theirs = agreement(grid, query, follow(query, stranger, grid.cell))
    assert after > before + gain
    assert after > 0.5
    assert theirs < 0.4
    assert theirs < after - 0.25


def test_an_image_that_lies_right_stays_there() -> None:
    _, _, real = banded((64, 64), 0.05)
    moved = follow(real, real, 8)
    assert float((moved - real).abs().mean()) < 0.05 * float(real.abs().mean())
    assert torch.equal(follow(real, torch.zeros_like(real), 8), torch.zeros_like(real))
