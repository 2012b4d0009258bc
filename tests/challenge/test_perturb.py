from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.challenge.perturb import PERTURBATIONS, STRENGTHS, perturb, perturbations_for, smooth_fill

SHAPES = [(32, 32), (24, 40), (16, 20, 24)]
CASES = [(name, shape) for shape in SHAPES for name in perturbations_for(len(shape))]


def smooth(shape: tuple[int, ...], n: int = 6, seed: int = 0) -> np.ndarray:
    """Smooth images that differ in every region and whose values leave room for noise on either side."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    images = gaussian_filter(rng.random((n, *shape)), (0, *[side / 10 for side in shape]), mode="nearest")
    low = images.min(axis=tuple(range(1, images.ndim)), keepdims=True)
    high = images.max(axis=tuple(range(1, images.ndim)), keepdims=True)
    return (0.15 + 0.7 * (images - low) / (high - low)).astype(np.float32)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_what_comes_out_is_an_image_and_what_went_in_is_kept(name: str, shape: tuple[int, ...]) -> None:
    images, others = smooth(shape), smooth(shape, seed=1)
    before = images.copy()
    for strength in STRENGTHS:
        made = perturb(images, name, strength, seed=3, others=others)
        assert made.shape == images.shape
        assert made.dtype == np.float32
        assert made.min() >= 0
        assert made.max() <= 1
        assert not np.shares_memory(made, images)
        assert (np.abs(made - images).reshape(len(images), -1).max(axis=1) > 0.001).all()  # each image is changed
    assert np.array_equal(images, before)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_seed_decides(name: str, shape: tuple[int, ...]) -> None:
    images, others = smooth(shape, 12), smooth(shape, 12, seed=1)
    first, again, other = (perturb(images, name, seed=seed, others=others) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    drawn = name not in ("blur", "flip", "jpeg", "blend")
    assert np.array_equal(first, other) != drawn


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_strengths_are_in_order(name: str, shape: tuple[int, ...]) -> None:
    images, others = smooth(shape, 12), smooth(shape, 12, seed=1)
    changes = [np.abs(perturb(images, name, s, seed=0, others=others) - images).mean() for s in STRENGTHS]
    if name == "flip":
        assert changes[0] == changes[1] == changes[2]
    else:
        assert changes[0] < changes[1] < changes[2]


def test_amounts_are_exactly_those_of_the_tables() -> None:
    images = np.full((40, 32, 32), 0.5, dtype=np.float32)
    assert perturb(images, "noise", "medium", seed=0).std() == pytest.approx(0.1, rel=0.02)
    change = perturb(images, "brightness", "medium", seed=0)[:, 0, 0] - 0.5
    assert set(np.round(change, 5)) == {np.float32(-0.15), np.float32(0.15)}
    power = np.log(perturb(images, "gamma", "medium", seed=0)[:, 0, 0]) / np.log(0.5)
    assert set(np.round(power.astype(float), 4)) == {1.6, 0.625}
    two = np.tile(np.float32([0.4, 0.6]), (40, 32, 16))
    spread = perturb(two, "contrast", "medium", seed=0)
    assert {round(float(x), 4) for x in spread[:, 0, 1] - spread[:, 0, 0]} == {0.3, round(0.2 / 1.5, 4)}
    assert np.allclose(perturb(two, "blend", "medium", seed=0, others=images), 0.7 * two + 0.15)


@pytest.mark.parametrize(("strength", "sigma"), [("weak", 0.512), ("medium", 1.024), ("strong", 1.984)])
def test_blur_spreads_a_point_by_its_deviation(strength: str, sigma: float) -> None:
    image = np.zeros((1, 64, 64), dtype=np.float32)
    image[0, 32, 20] = 1
    made = perturb(image, "blur", strength, seed=0)[0].astype(float)
    y, x = np.indices((64, 64))
    assert made.sum() == pytest.approx(1, rel=1e-5)
    assert ((x - 20) ** 2 * made).sum() == pytest.approx(sigma**2, rel=1e-3)
    assert ((y - 32) ** 2 * made).sum() == pytest.approx(sigma**2, rel=1e-3)


def test_a_wide_blur_is_the_gaussian_filter() -> None:
    from scipy.ndimage import gaussian_filter

    images = smooth((200, 200), 2)
    expected = gaussian_filter(images, (0, 6.2, 6.2), mode="nearest", truncate=6)
    assert np.allclose(perturb(images, "blur", "strong", seed=0), expected, atol=2e-4)


def test_shift_moves_by_its_share_in_both_axes() -> None:
    images = np.zeros((40, 50, 100), dtype=np.float32)
    images[:, 25, 50] = 1
    made = perturb(images, "shift", "medium", seed=0)
    rows, columns = (
        np.array([np.unravel_index(image.argmax(), image.shape)[axis] for image in made]) for axis in (0, 1)
    )
    assert set(rows - 25) == {-4, 4}
    assert set(columns - 50) == {-8, 8}


def test_through_plane_shift_moves_the_first_axis_alone() -> None:
    images = np.zeros((30, 50, 8, 8), dtype=np.float32)
    images[:, 25] = 1
    made = perturb(images, "through_plane_shift", "medium", seed=0)
    assert set(made[:, :, 0, 0].argmax(axis=1) - 25) == {-3, 3}
    assert np.array_equal(made.argmax(axis=1)[:, 0, 0], made.argmax(axis=1)[:, 5, 7])


def test_rotation_turns_by_its_angle_within_the_plane() -> None:
    images = np.zeros((20, 3, 65, 65), dtype=np.float32)
    images[:, 1, 32, 32:60] = 1  # a ray to the right
    made = perturb(images, "rotation", "strong", seed=0)
    assert made[:, [0, 2]].max() == 0
    y, x = np.indices((65, 65)) - 32
    angles = [np.rad2deg(np.arctan2((image[1] * y).sum(), (image[1] * x).sum())) for image in made]
    assert set(np.round(angles)) == {-30.0, 30.0}


def test_scale_and_crop_enlarges_a_part() -> None:
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (30, 100, 1))
    for strength, kept in PERTURBATIONS["scale_and_crop"].levels.items():
        made = perturb(ramp, "scale_and_crop", strength, seed=0)
        slope = np.diff(made[:, 50, 5:-5], axis=1).mean(axis=1) * 99
        assert slope == pytest.approx(kept, rel=1e-3)
        assert made[:, 0, 0].std() > 0.01  # at random places


def test_edges_are_repeated_and_nothing_black_comes_in() -> None:
    white = np.ones((8, 24, 24), dtype=np.float32)
    for name in ("rotation", "shift", "scale_and_crop", "blur"):
        assert perturb(white, name, "strong", seed=0).min() > 0.999


def test_local_edit_pastes_or_fills_one_box() -> None:
    images, others = smooth((40, 40), 40), np.ones((40, 40, 40), dtype=np.float32)
    made = perturb(images, "local_edit", "medium", seed=0, others=others)
    kinds = set()
    for image, edited in zip(images, made, strict=True):
        rows, columns = np.nonzero(image != edited)
        box = edited[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert max(box.shape) <= 12
        assert len(rows) > 0.8 * 12 * 12
        kinds.add("pasted" if (box == 1).all() else "filled")
        if not (box == 1).all():
            assert box.max() < 0.9  # nothing of the other patient
    assert kinds == {"pasted", "filled"}


def test_a_smooth_fill_stays_within_its_rim() -> None:
    image = np.random.default_rng(0).random((12, 12, 12)).astype(np.float32)
    box = (slice(2, 9), slice(1, 11), slice(4, 5))
    filled = smooth_fill(image, box)
    assert filled.shape == (7, 10, 1)
    assert filled.min() >= image.min()
    assert filled.max() <= image.max()
    assert np.allclose(smooth_fill(np.full((5, 5), 0.3, np.float32), (slice(1, 4), slice(1, 4))), 0.3)


def test_jpeg_of_a_volume_is_that_of_its_slices() -> None:
    volumes = smooth((4, 16, 16), 2)
    whole = perturb(volumes, "jpeg", "strong", seed=0)
    assert np.array_equal(whole.reshape(8, 16, 16), perturb(volumes.reshape(8, 16, 16), "jpeg", "strong", seed=0))


def test_no_images_give_no_images() -> None:
    assert perturb(np.empty((0, 8, 8), np.float32), "rotation", seed=0).shape == (0, 8, 8)


def test_what_cannot_be_done_is_refused() -> None:
    images = smooth((16, 16), 2)
    with pytest.raises(UsageError, match='did you mean "rotation"'):
        perturb(images, "rotaton", seed=0)
    with pytest.raises(UsageError, match='did you mean "strong"'):
        perturb(images, "noise", "strng", seed=0)
    with pytest.raises(DataError, match="is for 3D images"):
        perturb(images, "through_plane_shift", seed=0)
    for others in (None, images[:1]):
        with pytest.raises(DataError, match="another patient"):
            perturb(images, "blend", seed=0, others=others)
    with pytest.raises(DataError, match="no inner region"):
        perturb(images[:, :2], "local_edit", seed=0, others=images[:, :2])
