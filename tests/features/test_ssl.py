from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from memobench.detection.embed import train_embedding
from memobench.detection.parameters import EmbeddingParameters
from memobench.features._ssl import FLOOR, band_energies, statistics
from memobench.generator import Context
from memobench.images import Images
from memobench.quality.fd import frechet_distance
from scipy import ndimage

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=20, batch=16)


def smooth(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((n, *shape))
    images = np.stack([ndimage.gaussian_filter(x, 1.5) for x in noise])
    return ((images - images.min()) / (images.max() - images.min())).astype(np.float32)


@pytest.mark.parametrize(("shape", "bands"), [((64, 64), 4), ((32, 32), 3), ((32, 32, 32), 3), ((8, 32, 32), 1)])
def test_bands(shape: tuple[int, ...], bands: int) -> None:
    images = torch.from_numpy(smooth(3, *shape))[:, None]
    energies = band_energies(images)
    assert energies.shape == (3, bands)
    assert torch.isfinite(energies).all()
    assert torch.allclose(band_energies(torch.full_like(images, 0.4)), torch.log(torch.tensor(FLOOR)), atol=1e-3)
    # A band's energy is proportional to the contrast, where the floor is far below it.
    half = band_energies(images / 2)
    assert torch.allclose(half, energies - np.log(2), atol=0.1)


def test_fine_noise_raises_the_finest_band_most_and_blur_lowers_it() -> None:
    images = smooth(8, 32, 32)
    plain = band_energies(torch.from_numpy(images)[:, None])
    noisy = images + 0.05 * np.random.default_rng(1).standard_normal(images.shape).astype(np.float32)
    rise = (band_energies(torch.from_numpy(noisy)[:, None]) - plain).mean(dim=0)
    assert rise[0] == rise.max() > 0.3
    blurred = np.stack([ndimage.gaussian_filter(x, 1) for x in images])
    fall = (plain - band_energies(torch.from_numpy(blurred)[:, None])).mean(dim=0)
    assert fall[0] == fall.max() > 0.3


def test_statistics_are_means_and_spreads() -> None:
    stage = torch.randn((4, 3, 5, 6), generator=torch.Generator().manual_seed(0))
    values = statistics(torch.rand((4, 1, 16, 16), generator=torch.Generator().manual_seed(1)), [stage])
    assert np.allclose(values[:, :3], stage.numpy().mean(axis=(2, 3)), atol=1e-5)
    assert np.allclose(values[:, 3:6], stage.numpy().std(axis=(2, 3), ddof=1), atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_worse_images_are_farther_away(shape: tuple[int, ...], make_images: Callable[..., Images]) -> None:
    seen, real, other = (smooth(60, *shape, seed=seed) for seed in range(3))
    names = np.array([f"p{i}" for i in range(60)])
    embedding = train_embedding(seen, names, SMALL, context=Context(0))
    reference = embedding.activations(real)

    def distance(pixels: np.ndarray) -> float:
        changed = np.clip(pixels, 0, 1).astype(np.float32)
        return float(frechet_distance(embedding.activations(changed), reference))

    floor = distance(other)
    random = np.random.default_rng(3)
    series = {
        "blur": [np.stack([ndimage.gaussian_filter(x, s) for x in other]) for s in (0.7, 1.5)],
        "noise": [other + s * random.standard_normal(other.shape) for s in (0.05, 0.1)],
        "contrast": [(other - 0.5) * s + 0.5 for s in (0.7, 0.4)],
        "collapse": [other[random.integers(0, n, 60)] for n in (10, 2)],
    }
    for name, sets in series.items():
        mild, strong = map(distance, sets)
        assert floor < mild < strong, name
