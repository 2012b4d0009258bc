from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from memobench.detection.register import LEAST_OVERLAP, masked_correlation
from memobench.detection.verify import (
    BANDS,
    CUTS,
    LARGEST,
    QUANTILES,
    RIDGE,
    WINDOW,
    Verifier,
    compare,
    local_correlation,
    phase_correlation,
    pyramid,
)
from torch import Tensor

# shape and bands: as many as halvings leave 8 pixels a side, at most four
SHAPES = [((64, 64), 4), ((32, 32), 3), ((24, 40), 2), ((128, 96), 4), ((16, 16, 16), 2), ((8, 16, 24), 1)]
Z = math.atanh(LARGEST)


def noise(count: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 1, *shape), dtype=np.float32))


def still(count: int, dim: int) -> Tensor:
    return torch.eye(dim, dim + 1).expand(count, -1, -1)


@pytest.mark.parametrize(("shape", "bands"), SHAPES)
def test_there_are_as_many_numbers_as_documented(shape: tuple[int, ...], bands: int) -> None:
    dim = len(shape)
    first, second = noise(5, shape), noise(5, shape, 1)
    first[0], second[0] = 0.3, 0.7  # both blank
    first[1] = 0.0  # one blank
    second[2] = first[2]  # equal
    second[3] = 1 - first[3]  # inverted
    poses = still(5, dim).clone()
    poses[4, 0, -1] = 5.0  # nothing covered
    numbers = compare(first, second, poses)
    assert numbers.shape == (5, 7 * bands + 6)
    assert numbers.isfinite().all()
    assert len(pyramid(first, torch.ones_like(first))) == bands <= BANDS
    assert numbers[:, -2].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]  # share covered
    correlations, phases = [6 * band for band in range(bands)], slice(6 * bands, 6 * bands + len(CUTS))
    assert torch.allclose(numbers[2, correlations], torch.tensor(Z), atol=1e-3)
    assert torch.allclose(numbers[2, phases], torch.tensor(Z), atol=1e-3)
    assert numbers[2, : 6 * bands].min() > 1  # windows lose a little to their floor
    assert torch.allclose(numbers[2, 6 * bands + len(CUTS) : -2], torch.zeros(bands), atol=1e-6)
    assert torch.allclose(numbers[3, correlations], torch.tensor(-Z), atol=1e-3)
    assert numbers[:2, correlations].abs().max() < 0.05  # a blank image is like nothing


@pytest.mark.parametrize("dim", [2, 3])
def test_the_scale_and_the_covered_share_are_the_poses(dim: int) -> None:
    shape = (32, 32) if dim == 2 else (16, 16, 16)
    images = noise(4, shape)
    poses = still(4, dim).clone()
    for row, scale in enumerate((1.0, 0.5, 1.25, -0.8)):
        poses[row, :, :-1] *= abs(scale)
        poses[row, 0, 0] *= math.copysign(1, scale)  # mirrored
    numbers = compare(images, images, poses)
    assert numbers[:, -1].numpy() == pytest.approx(np.log([1.0, 0.5, 1.25, 0.8]), abs=1e-5)
    assert numbers[:, -2].numpy() == pytest.approx([1, 1, 0.8**dim, 1], abs=0.1)
    assert numbers[2, -2] < 1


def test_what_lies_beyond_the_real_image_enters_nothing() -> None:
    query, real = noise(1, (32, 32)), noise(1, (32, 32), 1)
    pose = still(1, 2).clone()
    pose[0, 0, -1] = 0.5  # a quarter of the query looks beyond the right border
    changed = query.clone()
    changed[..., -4:] = 1 - changed[..., -4:]  # farther out than a band's window reaches
    bands = 3
    before, after = compare(query, real, pose)[0], compare(changed, real, pose)[0]
    phases = range(6 * bands, 6 * bands + len(CUTS))
    finest = [*range(6), *phases, 6 * bands + len(CUTS)]
    assert torch.allclose(before[finest], after[finest], atol=1e-4)
    inside = query.clone()
    inside[..., 8:12] = 1 - inside[..., 8:12]
    assert not torch.isclose(before[finest], compare(inside, real, pose)[0][finest], atol=1e-4).any()


def test_energies_tell_blur() -> None:
    image = noise(1, (64, 64))
    blurred = torch.nn.functional.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
    energies = compare(blurred, image, still(1, 2))[0, 6 * 4 + len(CUTS) : -2]
    assert energies[0] < -1  # log of the ratio of the amplitudes
    assert energies[0] < energies[-1]
    again = compare(image, blurred, still(1, 2))[0, 6 * 4 + len(CUTS) : -2]
    assert torch.allclose(again, -energies, atol=1e-4)


@pytest.mark.parametrize(("shape", "bands"), SHAPES)
def test_the_bands_of_a_constant_are_zero(shape: tuple[int, ...], bands: int) -> None:
    flat, mask = torch.full((2, 1, *shape), 0.4), torch.ones(2, 1, *shape)
    mask[1, ..., : shape[-1] // 2] = 0
    found = pyramid(flat, mask)
    assert [values.shape[2:] for values, _ in found] == [
        torch.Size(side >> number for side in shape) for number in range(bands)
    ]
    for values, weight in found:
        assert values.abs().max() < 1e-6
        assert weight.shape == values.shape
        assert weight[0].min() == 1
        assert weight[1].mean() == pytest.approx(0.5, abs=0.1)


def _quantiles(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> list[float]:
    """Correlations in windows, one window after the other, and their quantiles by rank."""
    window = [max(3, side // WINDOW) for side in a.shape]
    stride = [max(1, side // 3) for side in window]
    starts = np.meshgrid(
        *[range(0, s - w + 1, step) for s, w, step in zip(a.shape, window, stride, strict=True)], indexing="ij"
    )
    moments = []
    for start in np.stack([axis.ravel() for axis in starts], axis=1):
        box = tuple(slice(first, first + length) for first, length in zip(start, window, strict=True))
        w = weight[box].ravel()
        if not w.sum():
            moments.append((0.0, 0.0, 0.0, 0.0))
            continue
        x, y = (image[box].ravel() - np.average(image[box].ravel(), weights=w) for image in (a, b))
        moments.append(
            (
                w.mean(),
                np.average(x * x, weights=w),
                np.average(y * y, weights=w),
                np.average(x * y, weights=w),
            )
        )
    share, va, vb, covariance = np.array(moments).T
    local = covariance / np.sqrt((va + va.mean() / 20) * (vb + vb.mean() / 20))
    known = np.sort(local[share > 0.5])
    return [float(known[round(q * (len(known) - 1))]) for q in QUANTILES]


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (12, 16, 14)])
@pytest.mark.parametrize("masked", [False, True])
def test_local_correlations_are_those_of_a_loop(shape: tuple[int, ...], masked: bool) -> None:
    a, b = noise(3, shape), noise(3, shape, 1)
    b[0] += a[0]
    b[1, ..., : shape[-1] // 2] += 2 * a[1, ..., : shape[-1] // 2]  # alike in one half
    weight = torch.ones_like(a)
    if masked:
        weight[..., : shape[-1] // 3] = 0
        weight[:, :, :2] = 0.5
    found = local_correlation(a, b, weight)
    assert found.shape == (3, len(QUANTILES))
    assert (found.diff(dim=1) >= 0).all()
    for row in range(3):
        arrays = [image[row, 0].numpy().astype(np.float64) for image in (a, b, weight)]
        assert found[row].tolist() == pytest.approx(_quantiles(*arrays), abs=1e-3)


def test_local_correlation_without_a_window_is_zero() -> None:
    a = noise(2, (32, 32))
    weight = torch.ones_like(a)
    weight[0] = 0
    found = local_correlation(a, a, weight)
    assert found[0].tolist() == [0.0] * len(QUANTILES)
    assert (found[1] > 0.8).all()
    blank = torch.full_like(a, 0.2)
    assert local_correlation(blank, a, torch.ones_like(a)).abs().max() < 1e-2


@pytest.mark.parametrize("shape", [(64, 64), (24, 40), (16, 16, 16)])
def test_phases_of_equal_images_agree_and_of_others_do_not(shape: tuple[int, ...]) -> None:
    images, others = noise(20, shape), noise(20, shape, 1)
    mask = torch.ones_like(images)
    same = phase_correlation(images, images, mask)
    assert same.shape == (20, len(CUTS))
    assert torch.allclose(same, torch.ones_like(same), atol=1e-3)
    apart = phase_correlation(images, others, mask)
    assert (apart[:, -1] < 0.5).all()
    assert apart[:, -1].mean() < 0.25
    assert (apart.diff(dim=1).mean(dim=0) < 0).all()  # chance agrees less, the more frequencies vote
    lit = phase_correlation(0.3 * images + 0.5, images, mask)
    assert torch.allclose(lit, torch.ones_like(lit), atol=1e-2)


def test_phases_bear_a_shift_within_reach_and_none_beyond() -> None:
    images = noise(6, (64, 64))
    mask = torch.ones_like(images)
    near, far = (phase_correlation(images.roll(by, dims=3), images, mask)[:, -1] for by in (2, 9))
    assert (near > 2 * far).all()


def test_phases_of_images_too_small_for_a_cut_are_zero() -> None:
    image = noise(1, (8, 8))
    found = phase_correlation(image, image, torch.ones_like(image))[0]
    assert found[0] == 0  # the lowest frequency is a quarter of the highest, above the first cut
    assert torch.allclose(found[1:], torch.ones(3), atol=1e-3)


def test_correlations_need_the_least_overlap() -> None:
    rows = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    for covered, expected in ((int(100 * LEAST_OVERLAP) + 1, 1.0), (int(100 * LEAST_OVERLAP) - 1, -1.0)):
        mask = (torch.arange(100) < covered).float()[None]
        assert masked_correlation(rows, rows, mask).item() == pytest.approx(expected, abs=1e-5)


# the regression


def lesson(pairs: int = 400, features: int = 9, share: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    copies = rng.random(pairs) < share
    numbers = rng.normal(size=(pairs, features)) * rng.uniform(0.1, 20, features) + rng.normal(size=features)
    numbers[:, :4] += copies[:, None] * numbers.std(axis=0)[:4] * rng.uniform(0.3, 1.5, 4)
    return numbers, copies


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_optimum_is_scikit_learns(share: float) -> None:
    from sklearn.linear_model import LogisticRegression

    numbers, copies = lesson(share=share)
    fitted = Verifier.fit(numbers, copies)
    scaled = (numbers - numbers.mean(axis=0)) / (numbers.std(axis=0) + 1e-3)
    balance = {True: 0.5 / copies.mean(), False: 0.5 / (1 - copies.mean())}
    theirs = LogisticRegression(C=1 / RIDGE, class_weight=balance, tol=1e-10, max_iter=10_000).fit(scaled, copies)
    assert fitted.weights[:-1] == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert fitted.weights[-1] == pytest.approx(theirs.intercept_[0], abs=1e-4)
    scores = fitted.score(torch.from_numpy(numbers.astype(np.float32))).numpy()
    assert scores == pytest.approx(theirs.decision_function(scaled), abs=1e-3)


def test_a_fit_is_deterministic_and_blind_to_order() -> None:
    numbers, copies = lesson()
    first, again = Verifier.fit(numbers, copies), Verifier.fit(numbers.copy(), copies.copy())
    assert np.array_equal(first.weights, again.weights)
    assert np.array_equal(first.moments, again.moments)
    order = np.random.default_rng(1).permutation(len(copies))
    moved = Verifier.fit(numbers[order], copies[order])
    assert moved.weights == pytest.approx(first.weights, abs=1e-8)


def test_copies_that_are_told_apart_perfectly_keep_weights_finite() -> None:
    numbers, copies = lesson()
    numbers[:, 0] = 100.0 * copies
    numbers[:, 1] = 3.0  # says nothing
    fitted = Verifier.fit(numbers, copies)
    assert np.isfinite(fitted.weights).all()
    assert fitted.weights[1] == pytest.approx(0, abs=1e-9)
    scores = fitted.score(torch.from_numpy(numbers.astype(np.float32))).numpy()
    assert scores[copies].min() > scores[~copies].max()


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_alone_is_no_lesson_but_finite(kind: bool) -> None:
    numbers, _ = lesson(pairs=30)
    fitted = Verifier.fit(numbers, np.full(30, kind))
    scores = fitted.score(torch.from_numpy(numbers.astype(np.float32)))
    assert scores.isfinite().all()
    assert ((scores > 0) == kind).all()


def test_a_restored_verifier_scores_the_same() -> None:
    numbers, copies = lesson()
    fitted = Verifier.fit(numbers, copies)
    again = Verifier.restore(fitted.state())
    asked = torch.from_numpy(numbers.astype(np.float32))
    assert torch.equal(again.score(asked), fitted.score(asked))
    assert set(fitted.state()) == {"moments", "weights"}
