"""Correlation, l2 and SSIM against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.detectors import ssim
from memobench.detection.detectors.correlation import Correlation
from memobench.detection.detectors.l2 import L2
from memobench.detection.detectors.ssim import SSIM
from scipy.ndimage import gaussian_filter


def textured(n: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = gaussian_filter(rng.random((n, *shape)), (0, *[1.0] * len(shape))) + 0.1 * rng.random((n, *shape))
    return ((images - images.min()) / (images.max() - images.min())).astype(np.float32)


def test_correlation_is_pearsons() -> None:
    queries, pool = textured(4, (12, 9), 0), textured(6, (12, 9), 1)
    table = Correlation().scores(queries, pool)(slice(0, 4))
    expected = np.corrcoef(queries.reshape(4, -1), pool.reshape(6, -1))[:4, 4:]
    assert table == pytest.approx(expected, abs=1e-6)


def test_correlation_with_a_constant_image_is_zero() -> None:
    pool = np.concatenate([textured(2, (8, 8), 0), np.full((1, 8, 8), 0.3, np.float32)])
    table = Correlation().scores(pool, pool)(slice(0, 3))
    assert np.array_equal(table[2], np.zeros(3))
    assert np.array_equal(table[:, 2], np.zeros(3))


def test_l2_is_the_root_mean_square_difference() -> None:
    queries, pool = textured(4, (6, 7, 8), 0), textured(5, (6, 7, 8), 1)
    table = L2().scores(queries, pool)(slice(1, 4))
    expected = -np.sqrt(((queries[1:4, None].astype(float) - pool[None]) ** 2).mean(axis=(2, 3, 4)))
    assert table == pytest.approx(expected, abs=1e-9)
    assert L2().scores(pool, pool)(slice(0, 5)).diagonal() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("shape", [(32, 32), (40, 27)])
def test_ssim_is_piqs(shape: tuple[int, ...]) -> None:
    piq = pytest.importorskip("piq")
    torch = pytest.importorskip("torch")
    queries, pool = textured(3, shape, 0), textured(4, shape, 1)
    pool[0] = np.clip(queries[0] + 0.02, 0, 1)
    table = SSIM().scores(queries, pool)(slice(0, 3))
    for row, image in enumerate(queries):
        one = torch.from_numpy(image)[None, None].double().expand(4, 1, *shape)
        many = torch.from_numpy(pool)[:, None].double()
        expected = piq.ssim(one, many, kernel_size=11, kernel_sigma=1.5, reduction="none", downsample=False)
        assert table[row] == pytest.approx(expected.numpy(), abs=1e-5)


def test_ssim_in_three_dimensions_is_monais() -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics.regression import SSIMMetric

    queries, pool = textured(2, (24, 24, 26), 0), textured(3, (24, 24, 26), 1)
    metric = SSIMMetric(spatial_dims=3, data_range=1.0, win_size=11, kernel_sigma=1.5, reduction="none")
    table = SSIM().scores(queries, pool)(slice(0, 2))
    for row, image in enumerate(queries):
        one = torch.from_numpy(image)[None, None].expand(3, 1, *image.shape)
        expected = metric(one, torch.from_numpy(pool)[:, None]).numpy().ravel()
        assert table[row] == pytest.approx(expected, abs=1e-4)


def test_ssim_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, pool = textured(2, (16, 16), 0), textured(7, (16, 16), 1)
    whole = SSIM().scores(queries, pool)(slice(0, 2))
    monkeypatch.setattr(ssim, "CACHED", 600)
    assert SSIM().scores(queries, pool)(slice(0, 2)) == pytest.approx(whole, abs=1e-6)


def test_ssim_of_equal_and_of_small_images() -> None:
    for shape in ((8, 8), (5, 30), (64, 64)):
        images = textured(3, shape, 0)
        table = SSIM().scores(images, images)(slice(0, 3))
        assert table.diagonal() == pytest.approx(1, abs=1e-4)
        assert (table < 0.9)[~np.eye(3, dtype=bool)].all()
