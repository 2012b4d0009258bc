"""How blurred images are, compared with real ones: the detail that a blurred copy has lost cannot be matched.

A copy whose detail is lost is compared with real images that were blurred as much, in the band that is left, and what
real images of new patients reach is measured on images blurred as much too. Else copies would be missed, and blurred
images of nobody, which look more similar than sharp ones, would be accused.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from memobench.detection.cells import Grid
from memobench.detection.register import gaussian, shrink

LEVELS = (0.0, 0.8, 1.5, 2.5)  # standard deviations of the blur, in pixels of the images as they are searched
FINE, COARSE = 0.7, 2.0  # the detail finer than the first is compared with that between the two
_AT_ONCE = 256
_TINY = 1e-6


def blur_levels(samples: NDArray[np.float32], real: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) which of the levels each sample is nearest to: that at which most real images have as little fine detail.

    Args:
        samples: (N, *S) in [0, 1].
        real: (M, *S) in [0, 1], as sharp as they are.
    """
    grid = Grid.of(real.shape[1:])
    typical = [float(np.median(_fineness(grid, real, level))) for level in LEVELS]
    own = _fineness(grid, samples, 0.0)
    found: NDArray[np.int64] = np.abs(own[:, None] - np.array(typical)).argmin(axis=1).astype(np.int64)
    return found


def blurred(pixels: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Images (N, *S) blurred by a level, which is counted in pixels of the images as they are searched."""
    if level <= 0 or not len(pixels):
        return pixels
    sigma = level * Grid.of(pixels.shape[1:]).scale
    parts = [
        gaussian(torch.from_numpy(np.array(pixels[start : start + _AT_ONCE]))[:, None], sigma)[:, 0].numpy()
        for start in range(0, len(pixels), _AT_ONCE)
    ]
    soft: NDArray[np.float32] = np.clip(np.concatenate(parts), 0, 1).astype(np.float32)
    return soft


def _fineness(grid: Grid, pixels: NDArray[np.float32], level: float) -> NDArray[np.float64]:
    """(N,) logarithm of fine over coarser detail, of images that are blurred first."""
    found = []
    for start in range(0, len(pixels), _AT_ONCE):
        images = torch.from_numpy(np.array(pixels[start : start + _AT_ONCE], dtype=np.float32))[:, None]
        small = gaussian(shrink(images, max(grid.shape)), level)
        soft = gaussian(small, FINE)
        fine, coarse = (small - soft).flatten(1), (soft - gaussian(small, COARSE)).flatten(1)
        ratio = (fine.square().mean(dim=1).sqrt() + _TINY) / (coarse.square().mean(dim=1).sqrt() + _TINY)
        found.append(ratio.log().double().numpy())
    return np.concatenate(found) if found else np.zeros(0)
