from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from memobench.detection.register import (
    CoarseSearch,
    SearchGrid,
    band,
    gaussian,
    grid_sample,
    masked_correlation,
    places,
    refine,
    seen_through,
    shrink,
)
from scipy.ndimage import gaussian_filter
from torch import Tensor

SHAPES = [(32, 32), (24, 40), (40, 24), (16, 16, 16), (12, 16, 20)]


def textured(count: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random images with structure at two scales, in [0, 1]: (N, 1, *S)."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    rows = []
    for image in noise:
        coarse, fine = gaussian_filter(image, 0.12 * max(shape)), gaussian_filter(image, 0.05 * max(shape))
        made = coarse / coarse.std() + fine / fine.std()
        rows.append((made - made.min()) / (made.max() - made.min()))
    return torch.from_numpy(np.array(rows, dtype=np.float32))[:, None]


def similarity(
    dim: int, *, degrees: float = 0.0, scale: float = 1.0, shift: tuple[float, ...] = (), mirror: bool = False
) -> Tensor:
    """A pose (1, dim, dim + 1): x -> scale * mirror * turn (x + shift)."""
    turn, side = math.radians(degrees), -1.0 if mirror else 1.0
    matrix = torch.eye(dim)
    matrix[0, 0], matrix[0, 1] = side * math.cos(turn), -side * math.sin(turn)
    matrix[1, 0], matrix[1, 1] = math.sin(turn), math.cos(turn)
    matrix = matrix * scale
    moved = torch.tensor(shift or (0.0,) * dim)
    return torch.cat([matrix, (matrix @ moved)[:, None]], dim=1)[None]


def view(image: Tensor, pose: Tensor) -> Tensor:
    """What a query (1, 1, *S) shows that was made from an image by a pose."""
    values, _ = grid_sample(image, seen_through(pose, places(image.shape[2:])))
    return values.reshape(image.shape)


def misplaced(found: Tensor, true: Tensor, shape: tuple[int, ...], within: float = 0.5) -> float:
    """Largest distance in pixels between where two poses send the query's middle."""
    at = places(shape)
    at = at[:, (at.abs() <= within).all(dim=0)]
    apart = seen_through(found, at) - seen_through(true, at)
    return float(apart.norm(dim=1).max()) * max(shape) / 2


# places and samples


@pytest.mark.parametrize("shape", SHAPES)
def test_places_are_centred_and_isotropic(shape: tuple[int, ...]) -> None:
    at = places(shape)
    assert at.shape == (len(shape), math.prod(shape))
    assert torch.allclose(at.mean(dim=1), torch.zeros(len(shape)), atol=1e-6)
    grid = at.reshape(len(shape), *shape)
    for axis in range(len(shape)):  # coordinate 0 is the last axis
        steps = grid[axis].diff(dim=len(shape) - 1 - axis)
        assert torch.allclose(steps, torch.full_like(steps, 2 / max(shape)), atol=1e-6)
    assert float(at.max()) == pytest.approx(1 - 1 / max(shape))


def test_a_margin_adds_places_at_both_ends() -> None:
    wide = places((4, 6), margin=(2, 1)).reshape(2, 6, 10)  # two pixels in x, one in y
    assert torch.allclose(wide[:, 1:-1, 2:-2].reshape(2, -1), places((4, 6)))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_at_its_own_places_is_itself(shape: tuple[int, ...]) -> None:
    images = textured(2, shape)
    values, inside = grid_sample(images, places(shape).expand(2, -1, -1))
    assert torch.allclose(values.reshape(images.shape), images, atol=1e-5)
    assert inside.all()


def test_samples_move_as_numpy_moves_them() -> None:
    image = textured(1, (24, 40))
    values, inside = grid_sample(image, (places((24, 40)) + torch.tensor([3.0, -5.0])[:, None] * 2 / 40)[None])
    moved = values.reshape(24, 40)
    assert torch.allclose(moved[5:, :-3], image[0, 0, :-5, 3:], atol=1e-5)
    expected = torch.zeros(24, 40, dtype=torch.bool)
    expected[5:, :-3] = True
    assert torch.equal(inside.reshape(24, 40), expected)


# bands


@pytest.mark.parametrize("shape", [(17, 32), (9, 12, 16)])
@pytest.mark.parametrize("sigma", [0.0, 0.7, 5.0])
def test_gaussian_keeps_constants(shape: tuple[int, ...], sigma: float) -> None:
    flat = torch.full((2, 1, *shape), 0.3)
    assert torch.allclose(gaussian(flat, sigma), flat, atol=1e-6)


def test_gaussian_agrees_with_scipy_away_from_the_borders() -> None:
    image = textured(1, (48, 48))
    theirs = gaussian_filter(image[0, 0].numpy().astype(float), 1.5, truncate=8)
    assert gaussian(image, 1.5)[0, 0, 13:-13, 13:-13].numpy() == pytest.approx(theirs[13:-13, 13:-13], abs=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_a_band_is_blind_to_brightness_and_contrast(shape: tuple[int, ...]) -> None:
    images = textured(3, shape)
    plain, changed = band(images, 0.7, max(shape) / 6), band(0.4 * images + 0.3, 0.7, max(shape) / 6)
    assert torch.allclose(plain, changed, atol=1e-2)
    assert plain.abs().max() < 10
    assert not band(torch.full((1, 1, *shape), 0.6), 0.7, max(shape) / 6).abs().max() > 0.1


@pytest.mark.parametrize(
    ("shape", "small"), [((32, 32), (16, 16)), ((24, 40), (10, 16)), ((8, 64), (4, 16)), ((12, 16, 20), (10, 13, 16))]
)
def test_shrunk_images_have_their_longest_side_as_asked(shape: tuple[int, ...], small: tuple[int, ...]) -> None:
    images = textured(2, shape)
    shrunk = shrink(images, 16)
    assert shrunk.shape[2:] == small
    assert shrunk.flatten(1).mean(dim=1).numpy() == pytest.approx(images.flatten(1).mean(dim=1).numpy(), abs=0.02)
    assert shrink(images, 64) is images


# correlations


def test_masked_correlation_is_numpys_over_the_mask() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 50)).astype(np.float32)
    second += first * np.array([[0.0], [1.0], [-2.0], [5.0]], np.float32)
    mask = np.ones((4, 50), np.float32)
    mask[:, :15] = 0
    found = masked_correlation(*map(torch.from_numpy, (first, second, mask))).numpy()
    for row in range(4):
        assert found[row] == pytest.approx(np.corrcoef(first[row, 15:], second[row, 15:])[0, 1], abs=1e-5)
    few = mask.copy()
    few[:, :30] = 0  # 40% is less than the least overlap
    assert masked_correlation(*map(torch.from_numpy, (first, second, few))).tolist() == [-1.0] * 4
    weights = rng.uniform(0.6, 1.0, size=(4, 50)).astype(np.float32)
    found = masked_correlation(*map(torch.from_numpy, (first, second, weights))).numpy()
    for row in range(4):
        covariance = np.cov(first[row], second[row], aweights=weights[row])
        expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert found[row] == pytest.approx(expected, abs=1e-5)


def test_masked_correlation_with_a_constant_is_zero() -> None:
    rows = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    rows[1] = 0.25
    assert masked_correlation(rows, rows.flip(0), torch.ones(2, 30)).abs().max() < 1e-3


# coarse search


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mirror", [False, True])
def test_the_search_finds_a_pose_of_its_grid(shape: tuple[int, ...], mirror: bool) -> None:
    dim = len(shape)
    search = CoarseSearch(shape)
    grid = search.grid
    pool = textured(6, shape)
    step = 2 / max(search.shape)  # a coarse pixel, in places
    queries, true = [], []
    poses = [(grid.degrees[1], 1.0, 0), (grid.degrees[-2], grid.scales[-2], 1), (0.0, grid.scales[1], -1)]
    for source, (degrees, scale, moved) in enumerate(poses):
        shift = (moved * step, *[0.0] * (dim - 1))
        pose = similarity(dim, degrees=degrees, scale=scale, shift=shift, mirror=mirror)
        queries.append(view(pool[source : source + 1], pose))
        true.append(pose)
    scores, numbers = search.scores(search.prepare(torch.cat(queries)), search.prepare(pool))
    assert scores.shape == numbers.shape == (3, 6, 2)
    assert (scores.abs() <= 1 + 1e-4).all()
    assert scores.amax(dim=2).argmax(dim=1).tolist() == [0, 1, 2]
    for row, pose in enumerate(true):
        value, side = scores[row, row].max(dim=0)
        assert int(side) == int(mirror)
        assert value > 0.8
        found = search.pose(numbers[row, row, side][None])
        assert misplaced(found, pose, shape) < 1.2 * max(shape) / max(search.shape)  # about a coarse pixel


def test_pose_numbers_are_matrix_and_shift() -> None:
    search = CoarseSearch((24, 40), SearchGrid(8, (2, 1), (0.0, 20.0), (0.8, 1.0)))
    assert search.shape == (5, 8)
    assert len(search.matrices) == 2 * 2 * 2
    assert len(search.shifts) == 5 * 3
    for matrix, shift in itertools.product((0, 3, 7), (0, 4, 14)):
        pose = search.pose(torch.tensor([matrix * 15 + shift]))
        at = places((5, 8))
        expected = search.matrices[matrix] @ (at + search.shifts[shift][:, None])
        assert torch.allclose(seen_through(pose, at)[0], expected, atol=1e-6)


def test_scores_are_correlations_over_the_covered_part() -> None:
    shape = (16, 16)
    search = CoarseSearch(shape, SearchGrid(16, (2, 2), (0.0, 30.0), (0.7, 1.2)))
    queries, real = textured(2, shape), textured(3, shape, seed=1)
    scores, numbers = search.scores(queries, real)
    at = places(shape)
    for row, column, side in itertools.product(range(2), range(3), range(2)):
        best = []
        half = len(search.matrices) * len(search.shifts) // 2
        for number in range(side * half, (side + 1) * half):
            values, inside = grid_sample(
                real[column : column + 1], seen_through(search.pose(torch.tensor([number])), at)
            )
            kept = inside[0].numpy()
            if kept.sum() >= 0.55 * len(kept):
                a, b = queries[row].flatten().numpy()[kept], values[0, 0].numpy()[kept]
                best.append((np.corrcoef(a, b)[0, 1], number))
        value, number = max(best)
        assert float(scores[row, column, side]) == pytest.approx(value, abs=1e-3)
        assert int(numbers[row, column, side]) == number


def test_only_the_near_images_are_compared() -> None:
    search = CoarseSearch((32, 32))
    prepared = search.prepare(textured(5, (32, 32)))
    near = torch.tensor([[0, 3], [4, 1], [1, 2], [3, 0], [0, 4]])
    scores, numbers = search.scores(prepared, prepared, near)
    everything, everywhere = search.scores(prepared, prepared)
    assert scores.shape == numbers.shape == (5, 2, 2)
    rows = torch.arange(5)[:, None]
    assert torch.allclose(scores, everything[rows, near], atol=1e-5)
    assert torch.equal(numbers, everywhere[rows, near])
    assert (everything[range(5), range(5), 0] > 0.999).all()


def test_the_unmoved_grid_compares_images_as_they_stand() -> None:
    for shape in ((64, 64), (16, 16, 16)):
        search = CoarseSearch(shape, SearchGrid.unmoved(len(shape)))
        images = textured(3, shape)
        scores, numbers = search.scores(search.prepare(images), search.prepare(images))
        assert (scores[range(3), range(3), 0] > 0.999).all()
        identity = similarity(len(shape)).expand(3, -1, -1)
        assert torch.allclose(search.pose(numbers[range(3), range(3), 0]), identity, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_constant_images_give_finite_correlations(shape: tuple[int, ...]) -> None:
    images = torch.cat([torch.full((1, 1, *shape), 0.5), torch.zeros(1, 1, *shape), textured(1, shape)])
    search = CoarseSearch(shape)
    scores, _ = search.scores(search.prepare(images), search.prepare(images))
    assert scores.isfinite().all()
    assert (scores.abs() <= 1 + 1e-4).all()
    assert scores[2, 2, 0] > 0.999
    start = similarity(len(shape)).expand(9, -1, -1)
    rows, columns = map(torch.tensor, zip(*itertools.product(range(3), repeat=2), strict=True))
    pose, value = refine(images[rows], images[columns], start, steps=4)
    assert pose.isfinite().all()
    assert value.isfinite().all()


# refinement


TRUTHS = [
    {"degrees": 6.0, "scale": 1.05, "shift": (0.04, -0.05)},
    {"degrees": -8.0, "scale": 0.9, "shift": (-0.06, 0.03)},
    {"degrees": 3.0, "scale": 1.0, "shift": (0.08, 0.0), "mirror": True},
]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_refinement_recovers_a_similarity_to_a_part_of_a_pixel(shape: tuple[int, ...], truth: dict) -> None:
    dim = len(shape)
    truth = {**truth, "shift": (*truth["shift"], 0.05)[:dim]}
    true = similarity(dim, **truth)
    image = textured(1, shape)
    start = similarity(dim, mirror=truth.get("mirror", False))
    before = misplaced(start, true, shape)
    pose, value = refine(view(image, true), image, start, steps=12)
    assert before > 0.8
    assert misplaced(pose, true, shape) < 0.1
    assert value > 0.99


def test_refinement_in_3d_turns_about_every_axis() -> None:
    shape = (16, 16, 16)
    image = textured(1, shape)
    for a, b in itertools.combinations(range(3), 2):
        matrix = torch.eye(3)
        turn = math.radians(7)
        matrix[a, a] = matrix[b, b] = math.cos(turn)
        matrix[a, b], matrix[b, a] = -math.sin(turn), math.sin(turn)
        true = torch.cat([matrix, torch.zeros(3, 1)], dim=1)[None]
        pose, value = refine(view(image, true), image, similarity(3), steps=12)
        assert misplaced(pose, true, shape) < 0.1
        assert value > 0.99


@pytest.mark.parametrize("shape", [(32, 32), (12, 16, 20)])
def test_refinement_keeps_a_similarity(shape: tuple[int, ...]) -> None:
    dim = len(shape)
    images = textured(6, shape)
    start = similarity(dim, degrees=10.0, scale=0.8, mirror=True).expand(6, -1, -1)
    pose, _ = refine(images, images.roll(1, dims=0), start, steps=6)
    linear = pose[:, :, :-1]
    scale = torch.linalg.det(linear).abs() ** (1 / dim)
    product = linear @ linear.transpose(1, 2)
    assert torch.allclose(product, (scale**2)[:, None, None] * torch.eye(dim), atol=1e-3)
    assert (torch.linalg.det(linear) < 0).all()  # a mirror image stays one


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_refinement_never_ends_worse_than_it_began(shape: tuple[int, ...], steps: int) -> None:
    dim = len(shape)
    queries, real = textured(12, shape), textured(12, shape, seed=1)
    random = np.random.default_rng(2)
    start = torch.cat(
        [
            similarity(dim, degrees=d, scale=s, shift=tuple(t), mirror=m)
            for d, s, t, m in zip(
                random.uniform(-40, 40, 12),
                random.uniform(0.6, 1.3, 12),
                random.uniform(-0.5, 0.5, (12, dim)).tolist(),
                random.random(12) < 0.5,
                strict=True,
            )
        ]
    )
    values, inside = grid_sample(real, seen_through(start, places(shape)))
    before = masked_correlation(queries.flatten(1), values[:, 0], inside.float())
    pose, after = refine(queries, real, start, steps)
    assert (after >= before - 1e-6).all()
    assert steps == 0 or after.mean() > before.mean()
    values, inside = grid_sample(real, seen_through(pose, places(shape)))
    again = masked_correlation(queries.flatten(1), values[:, 0], inside.float())
    assert torch.allclose(after, again, atol=1e-5)  # the correlation is the returned pose's
    if steps == 0:
        assert torch.equal(pose, start)


def test_a_pose_that_covers_too_little_says_so() -> None:
    image = textured(1, (32, 32))
    away = similarity(2, shift=(1.5, 0.0))
    pose, value = refine(image, image, away, steps=4)
    assert value.item() == -1
    assert torch.equal(pose, away)


@pytest.mark.parametrize(("gain", "offset"), [(0.4, 0.3), (2.5, -0.5)])
def test_gain_and_offset_change_no_pose(gain: float, offset: float) -> None:
    image = textured(1, (32, 32))
    true = similarity(2, degrees=6, scale=0.95, shift=(0.05, -0.04))
    query = view(image, true)
    pose, value = refine(query, image, similarity(2), steps=10)
    changed, same = refine(gain * query + offset, image, similarity(2), steps=10)
    assert misplaced(changed, pose, (32, 32)) < 0.05
    assert float(same) == pytest.approx(float(value), abs=1e-3)
    assert misplaced(changed, true, (32, 32)) < 0.1


def test_each_pair_is_refined_by_itself() -> None:
    queries, real = textured(4, (32, 32)), textured(4, (32, 32), seed=1)
    real[:2] = torch.cat([view(queries[k : k + 1], similarity(2, degrees=5)) for k in range(2)])
    start = similarity(2).expand(4, -1, -1)
    together, values = refine(queries, real, start, steps=6)
    for row in range(4):
        alone, value = refine(queries[row : row + 1], real[row : row + 1], start[:1], steps=6)
        assert torch.allclose(alone[0], together[row], atol=1e-3)
        assert torch.allclose(value[0], values[row], atol=1e-4)
