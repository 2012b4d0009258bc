"""Every group makes images of the patients it is given, in the range, and the same again."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.challenge.groups import Group, Material, coarse, elastic, framed, groups
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHAPES = {2: (32, 24), 3: (12, 16, 12)}


def material(shape: tuple[int, ...]) -> Material:
    rng = np.random.default_rng(0)
    soft = np.stack([gaussian_filter(rng.random(shape), 1.5) for _ in range(24)])
    images = ((soft - soft.min()) / np.ptp(soft)).astype(np.float32)
    return Material(images[:4], images[4:8], images[8:12], images[12:])


EVERY = [(dim, group) for dim in (2, 3) for group in groups(dim)]


@pytest.mark.parametrize(("dim", "group"), EVERY, ids=[f"{dim}D {group.name}" for dim, group in EVERY])
def test_every_group_gives_images(dim: int, group: Group) -> None:
    given = material(SHAPES[dim])
    if group.name in ("turned 90 degrees", "first axis last"):  # of squares and cubes, as tasks have them
        side = min(SHAPES[dim])
        given = material((side,) * dim)
    made, again = (np.asarray(group.make(given, np.random.default_rng(1))) for _ in range(2))
    assert made.shape == given.first.shape
    assert np.isfinite(made).all()
    assert made.min() > -0.05
    assert made.max() < 1.05
    np.testing.assert_array_equal(made, again)
    assert not np.allclose(made, given.first, atol=1e-3)


def of_names(*names: str) -> list[NDArray[np.float32]]:
    given = material((32, 32))
    return [np.asarray(groups(2, [name])[0].make(given, np.random.default_rng(1))) for name in names]


def test_names_can_be_listed_and_wrong_ones_are_named() -> None:
    for dim in (2, 3):
        names = [one.name for one in groups(dim)]
        assert len(set(names)) == len(names)
        assert not any("," in name for name in names)
    assert [one.name for one in groups(2, ["text", "half"])] == ["half", "text"]
    with pytest.raises(UsageError, match="halff"):
        groups(2, ["halff"])


def test_composites_hold_what_they_say() -> None:
    given = material((32, 32))
    blend, halves, board = of_names("blend of two patients", "halves of two patients", "checkerboard with a stranger")
    np.testing.assert_allclose(blend, 0.5 * (given.first + given.second))
    assert np.abs(halves[..., 24:] - given.second[..., 24:]).mean() < 0.05
    assert np.abs(halves[..., :8] - given.first[..., :8]).mean() < 0.08
    assert 0.4 < (board == given.first).mean() < 0.6
    assert ((board == given.first) | (board == given.body)).all()


def test_a_deformation_moves_at_most_its_share() -> None:
    ramp = np.tile(np.arange(64, dtype=np.float32) / 64, (2, 64, 1))
    made = elastic(ramp, 6 / 64, np.random.default_rng(0))
    moved = 64 * np.abs(made - ramp)
    assert 2 < moved.max() <= 6.01


def test_lower_resolution_and_frames() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((2, 32, 32)).astype(np.float32)
    assert coarse(images, 4).std() < 0.5 * images.std()
    small = framed(images, 0.5)
    assert (small[:, :7] == 0).all()
    assert small[:, 9:23, 9:23].std() > 0
