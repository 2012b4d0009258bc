from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.ms_ssim import _pair, diversity, ms_ssim, ms_ssim_pairs, scales_for
from numpy.testing import assert_allclose, assert_array_equal


def smooth(n, side, seed=0, dims=2):
    """Images with structure at several scales."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(seed)
    images = sum(
        ndimage.gaussian_filter(rng.normal(size=(n, *[side] * dims)), (0, *[sigma] * dims)) * sigma for sigma in (1, 4)
    )
    return ((images - images.min()) / np.ptp(images)).astype(np.float32)


def test_equals_piq_at_256_pixels():
    torch = pytest.importorskip("torch")
    piq = pytest.importorskip("piq")
    x = smooth(4, 256)
    y = np.clip(x + 0.1 * np.random.default_rng(1).normal(size=x.shape), 0, 1).astype(np.float32)
    y[3] = smooth(1, 256, seed=2)[0]
    theirs = piq.multi_scale_ssim(
        torch.from_numpy(x)[:, None].double(), torch.from_numpy(y)[:, None].double(), reduction="none"
    )
    assert_allclose(ms_ssim(x, y), theirs.numpy(), atol=1e-4)
    flat = np.clip(x * 0.02 + 0.9, 0, 1)  # little variance at a high mean, where float32 loses most
    first, second = (torch.from_numpy(images.copy())[:, None].double() for images in (flat, flat[::-1]))
    theirs = piq.multi_scale_ssim(first, second, reduction="none")
    assert_allclose(ms_ssim(flat, flat[::-1]), theirs.numpy(), atol=1e-4)


def test_equals_monai_in_three_dimensions():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics.regression")
    x, y = smooth(2, 48, dims=3), smooth(2, 48, seed=1, dims=3)
    weights = np.array([0.0448, 0.2856, 0.3001]) / (0.0448 + 0.2856 + 0.3001)
    assert scales_for((48, 48, 48)) == 3
    theirs = metrics.compute_ms_ssim(
        torch.from_numpy(x)[:, None].double(),
        torch.from_numpy(y)[:, None].double(),
        spatial_dims=3,
        data_range=1.0,
        weights=tuple(weights),
    )
    assert_allclose(ms_ssim(x, y), theirs.numpy().ravel(), atol=1e-4)


def test_range_and_order():
    x = smooth(3, 64)
    rng = np.random.default_rng(0)
    less, more = (np.clip(x + level * rng.normal(size=x.shape), 0, 1) for level in (0.05, 0.2))
    assert_allclose(ms_ssim(x, x), 1, atol=1e-6)
    assert (ms_ssim(x, less) > ms_ssim(x, more)).all()
    assert_allclose(ms_ssim(x, more), ms_ssim(more, x), atol=1e-6)
    assert_array_equal(ms_ssim(x, 1 - x) >= 0, True)


@pytest.mark.parametrize("shape", [(7, 9), (1, 30), (16, 16), (33, 47), (10, 24, 24), (5, 16, 11)])
def test_small_and_odd_shapes(shape):
    x = np.random.default_rng(0).random((2, *shape))
    assert_allclose(ms_ssim(x, x), 1, atol=1e-6)
    assert (ms_ssim(x, x[::-1]) < 0.9).all()


def test_diversity_is_the_mean_over_pairs_of_different_images():
    pixels = smooth(30, 32)
    result = diversity(pixels, pairs=50, seed=0)
    assert result.pairs.shape == (50, 2)
    assert (result.pairs[:, 0] != result.pairs[:, 1]).all()
    assert len({tuple(sorted(pair)) for pair in result.pairs.tolist()}) == 50
    assert_allclose(result.values, ms_ssim(pixels[result.pairs[:, 0]], pixels[result.pairs[:, 1]]), atol=1e-6)
    assert result.value == pytest.approx(result.values.mean())
    assert_array_equal(result.values, diversity(pixels, pairs=50, seed=0).values)
    assert not np.array_equal(result.pairs, diversity(pixels, pairs=50, seed=1).pairs)
    assert len(diversity(pixels, pairs=10**4, seed=0).values) == 30 * 29 // 2


def test_collapse_is_seen_and_patients_are_kept_apart():
    pixels = smooth(12, 32)
    assert diversity(np.repeat(pixels[:1], 12, axis=0), seed=0).value == pytest.approx(1)
    patients = np.repeat(np.arange(4), 3).astype(str)
    pairs = diversity(pixels, pairs=100, seed=0, groups=patients).pairs
    assert len(pairs) == 12 * 11 // 2 - 4 * 3
    assert (patients[pairs[:, 0]] != patients[pairs[:, 1]]).all()


def test_pairs_are_numbered_without_gaps():
    i, j = _pair(np.arange(5000))
    expected = [(a, b) for a in range(110) for b in range(a)][:5000]
    assert_array_equal(np.stack([i, j], axis=1), expected)
    last = 10**6 * (10**6 - 1) // 2 - 1
    assert [int(v[0]) for v in _pair(np.array([last]))] == [10**6 - 1, 10**6 - 2]


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_constant_images(level):
    flat = np.full((3, 20, 20), level)
    assert_allclose(ms_ssim(flat, flat), 1)
    assert (ms_ssim(flat, np.abs(flat - 0.4)) < 1).all()
    assert diversity(flat, seed=0).value == pytest.approx(1)


def test_every_image_ten_times_is_less_diverse():
    pixels = smooth(6, 32)
    once, ten = diversity(pixels, pairs=10**4, seed=0), diversity(np.repeat(pixels, 10, axis=0), pairs=10**4, seed=0)
    twins = 6 * 45  # pairs of one image with itself, among 60 * 59 / 2
    assert ten.value == pytest.approx((twins + (1770 - twins) * once.value) / 1770, rel=1e-6)


def test_refusals():
    with pytest.raises(DataError, match=r"values from nan to nan; .* in \[0, 1\]"):
        diversity(np.full((3, 16, 16), np.nan), seed=0)
    with pytest.raises(DataError, match="values from 0 to 255"):
        ms_ssim(np.zeros((1, 16, 16)), np.linspace(0, 255, 256).reshape(1, 16, 16))
    with pytest.raises(DataError, match="no pair"):
        diversity(np.zeros((1, 16, 16)), seed=0)
    with pytest.raises(DataError, match="no pair"):
        diversity(np.zeros((3, 16, 16)), seed=0, groups=np.zeros(3))
    with pytest.raises(DataError, match="shapes"):
        ms_ssim(np.zeros((2, 16, 16)), np.zeros((2, 16, 17)))
    assert len(ms_ssim_pairs(np.zeros((2, 16, 16)), np.array([[0, 1]]))) == 1
