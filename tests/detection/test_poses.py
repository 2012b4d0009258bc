"""Sets and single images in poses that the detector's search does not reach."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.poses import Change, Upright, orientations, oriented, set_pose, upright
from memobench.images import Images
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.float32]


def anatomy(count: int, shape: tuple[int, ...] = (32, 32), *, seed: int, likeness: float = 1.0) -> Pixels:
    """Images of one upright anatomy with differences between patients as large as ``1 / likeness``."""
    common = gaussian_filter(np.random.default_rng(7).normal(size=shape), 2.5)
    own = np.stack([gaussian_filter(one, 1.5) for one in np.random.default_rng(seed).normal(size=(count, *shape))])
    made = likeness * common / common.std() + own / own.std()
    images: Pixels = np.clip(0.5 + made / 8, 0, 1).astype(np.float32)
    return images


def pool(count: int = 40, shape: tuple[int, ...] = (32, 32), *, likeness: float = 1.0) -> Images:
    names = np.array([f"p{number}" for number in range(count)])
    return Images(anatomy(count, shape, seed=1, likeness=likeness), names, names)


def lying(pixels: Pixels, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Pixels:
    """Images as a wrong axis order shows them."""
    return np.stack([np.ascontiguousarray(Change(axes, flips).turned(image)) for image in pixels])


def framed(image: Pixels, share: float, grey: float, sides: tuple[int, ...] = (0,)) -> Pixels:
    """An image squeezed along some axes between bars that take a share of the frame."""
    change = Change(tuple(range(image.ndim)), (False,) * image.ndim, cropped=True)
    target = np.array([[0, side] for side in image.shape])
    for axis in sides:
        inner = round(image.shape[axis] * (1 - share))
        start = (image.shape[axis] - inner) // 2
        target[axis] = start, start + inner
    box = np.array([[0, side] for side in image.shape])
    made = np.full(image.shape, grey, dtype=np.float32)
    inside = tuple(slice(*ends) for ends in target)
    made[inside] = change.applied(image, box, target)[inside]
    return made


def as_they_were(found: Upright, rows: slice, real: Pixels, tolerance: float = 1e-6) -> int:
    """How many images are back in their pose, mirror images included, which the detector finds."""
    made = found.pixels[rows]
    straight, mirrored = (np.abs(one - real).reshape(len(real), -1).mean(axis=1) for one in (made, made[..., ::-1]))
    return int((np.minimum(straight, mirrored) <= tolerance).sum())


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
@pytest.mark.parametrize("likeness", [0.0, 1.0, 3.0])
def test_ordinary_images_are_left_as_they_are(shape: tuple[int, ...], likeness: float) -> None:
    real = pool(shape=shape, likeness=likeness)
    rng = np.random.default_rng(0)
    sets = {
        "new patients": anatomy(30, shape, seed=2, likeness=likeness),
        "copies": real.pixels[:20],
        "mirrored copies": np.ascontiguousarray(real.pixels[:20, ..., ::-1]),
        "noise": rng.random((20, *shape), dtype=np.float32),
        "the mean": np.repeat(real.pixels.mean(axis=0)[None], 20, axis=0),
        "one new image, repeated": np.repeat(anatomy(1, shape, seed=5, likeness=likeness), 50, axis=0),
        "even": np.full((10, *shape), 0.5, dtype=np.float32),
    }
    for name, samples in sets.items():
        found = upright(samples, real)
        assert found.pixels is samples, name
        assert found.set_pose is None, name
        assert not found.count, name


def test_noise_resembles_no_real_image() -> None:
    found = upright(np.random.default_rng(0).random((20, 32, 32), dtype=np.float32), pool(likeness=3.0))
    assert found.strange
    assert found.odd
    assert "IN NO ORIENTATION" in found.notes[-1]
    assert not upright(anatomy(20, seed=3, likeness=3.0), pool(likeness=3.0)).odd


@pytest.mark.parametrize("pose", range(8))
@pytest.mark.parametrize("inverted", [False, True])
def test_whole_sets_of_new_patients_in_any_pose_of_a_picture(pose: int, inverted: bool) -> None:
    axes, flips = orientations(2)[pose]
    real, new = pool(likeness=2.0), anatomy(8, seed=2, likeness=2.0)  # as few as eight images
    samples = lying(new, axes, flips)
    samples = 1 - samples if inverted else samples
    found = upright(samples, real)
    own = axes == (0, 1) and not flips[0] and not inverted
    assert (found.set_pose is None) is own
    assert as_they_were(found, slice(None), new) == 8
    if not own:
        assert found.odd
        assert found.notes[0].startswith("THE SYNTHETIC IMAGES ")
        assert ("INVERTED" in found.notes[0]) is inverted


@pytest.mark.parametrize("start", range(4))
def test_whole_sets_of_volumes_in_any_of_48_orientations(start: int) -> None:
    real, new = pool(24, (16, 16, 16), likeness=2.0), anatomy(8, (16, 16, 16), seed=2, likeness=2.0)
    for axes, flips in orientations(3)[start::4]:
        found = upright(lying(new, axes, flips), real)
        own = axes == (0, 1, 2) and not any(flips[:2])
        assert (found.set_pose is None) is own
        assert as_they_were(found, slice(None), new) == 8, (axes, flips)
        if not own:
            assert "LIE IN ANOTHER ORIENTATION" in found.notes[0]


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
@pytest.mark.parametrize("likeness", [0.0, 2.0])
def test_single_copies_in_any_pose_among_ordinary_images(shape: tuple[int, ...], likeness: float) -> None:
    """Also where the anatomy has no orientation at all, so that a set tells nothing."""
    real, new = pool(60, shape, likeness=likeness), anatomy(40, shape, seed=2, likeness=likeness)
    poses = [one for one in orientations(len(shape)) if one[0] != tuple(range(len(shape))) or any(one[1][:-1])]
    rng = np.random.default_rng(0)
    for number in range(3):
        copies = np.stack(
            [lying(image[None], *poses[rng.integers(len(poses))])[0] for image in real.pixels[: 1 + 2 * number]]
        )
        if number == 1:
            copies = 1 - copies
        found = upright(np.concatenate([copies, new]), real)
        assert as_they_were(found, slice(len(copies)), real.pixels[: len(copies)]) == len(copies)
        assert found.set_pose is None
        assert np.array_equal(found.pixels[len(copies) :], new)
        assert "IN ANOTHER POSE" in found.notes[0]
        assert found.odd


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("share", "sides"), [(0.2, (0,)), (0.45, (0,)), (0.2, (1,)), (0.2, (0, 1)), (0.45, (0, 1))])
def test_single_letterboxed_and_padded_copies(grey: float, share: float, sides: tuple[int, ...]) -> None:
    real = pool(60, (64, 64))
    copies = np.stack([framed(image, share, grey, sides) for image in real.pixels[:5]])
    found = upright(np.concatenate([copies, anatomy(40, (64, 64), seed=2)]), real)
    assert [change is not None and change.cropped for change in found.changed[:5]] == [True] * 5
    assert not any(found.changed[5:])
    assert as_they_were(found, slice(5), real.pixels[:5], tolerance=0.05 if share > 0.4 else 0.02) == 5
    assert "without its frame" in found.notes[0]


def test_a_framed_set_against_framed_images_is_ordinary() -> None:
    real = pool(40, (64, 64))
    both = Images(np.stack([framed(one, 0.3, 0.0) for one in real.pixels]), real.patients, real.scans)
    samples = np.stack([framed(one, 0.3, 0.0) for one in anatomy(20, (64, 64), seed=2)])
    assert upright(samples, both).pixels is samples


def test_a_part_of_the_set_is_turned_back() -> None:
    real, new = pool(400, likeness=3.0), anatomy(60, seed=2, likeness=3.0)
    samples = np.concatenate([lying(new[:25], (1, 0), (False, True)), new[25:]])
    found = upright(samples, real)
    assert found.set_pose is None
    assert as_they_were(found, slice(25), new[:25]) >= 23
    assert np.array_equal(found.pixels[25:], new[25:])


def test_the_order_of_the_real_images_and_who_they_are_do_not_matter() -> None:
    real = pool(30, likeness=2.0)
    order = np.random.default_rng(0).permutation(30)
    samples = np.concatenate([lying(real.pixels[:2], (1, 0), (False, True)), anatomy(10, seed=2, likeness=2.0)])
    first, second = upright(samples, real), upright(samples, real.take(order))
    assert first.changed == second.changed
    assert np.array_equal(first.pixels, second.pixels)


def test_a_holdout_in_another_orientation() -> None:
    train, holdout = pool(30, likeness=2.0), anatomy(20, seed=4, likeness=2.0)
    names = np.array([f"h{number}" for number in range(20)])
    assert set_pose(Images(holdout, names, names), train) is None
    change = set_pose(Images(lying(holdout, (1, 0), (True, False)), names, names), train)
    assert change is not None
    assert change.words in ("turned by 90 degrees", "turned by 90 degrees and mirrored")
    back = oriented(lying(holdout, (1, 0), (True, False)), change)
    assert np.array_equal(back, holdout) or np.array_equal(back[..., ::-1], holdout)


def test_too_few_real_images_tell_nothing() -> None:
    samples = lying(anatomy(5, seed=2), (1, 0), (False, True))
    for real in (pool(7), pool(20).take(np.zeros(10, dtype=np.int64))):
        assert upright(samples, real).pixels is samples
    assert upright(samples[:0], pool()).count == 0


def test_sides_that_differ_are_resampled() -> None:
    real = pool(30, (32, 24), likeness=2.0)
    samples = np.stack(
        [
            Change((1, 0), (False, True)).applied(one, np.zeros((2, 2), int), np.zeros((2, 2), int))
            for one in real.pixels[:10]
        ]
    )
    found = upright(samples, real)
    assert found.pixels.shape == samples.shape
    assert found.set_pose is not None
    assert as_they_were(found, slice(None), real.pixels[:10], tolerance=0.03) == 10


@pytest.mark.parametrize(("quarters", "words"), [(1, "270"), (2, "180"), (3, "90")])
def test_turns_are_named_clockwise_as_the_image_is_now_shown(quarters: int, words: str) -> None:
    picture = np.arange(12).reshape(3, 4).astype(np.float32) / np.float32(12)
    changes = [Change(*pose) for pose in orientations(2)]
    (name,) = [one.words for one in changes if np.array_equal(one.turned(picture), np.rot90(picture, quarters))]
    assert name == f"turned by {words} degrees"
    assert Change((2, 1, 0), (False, True, False), inverted=True).words == (
        "with the axes in the order x, y, z, reversed along y, inverted"
    )
