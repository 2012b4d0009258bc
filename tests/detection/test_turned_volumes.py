"""Volumes in other orientations are brought back, and their boxes with them."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.poses import Change, orientations
from memobench.detection.turned import box_as_it_was, turned_back
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.float32]
SHAPE = (12, 16, 20)


def bodies(count: int, seed: int) -> Pixels:
    common = gaussian_filter(np.random.default_rng(99).random(SHAPE), 2.5)
    rng = np.random.default_rng(seed)
    own = np.stack([gaussian_filter(rng.random(SHAPE), 1.5) for _ in range(count)])
    made: Pixels = np.clip(8 * (common - 0.5) + 3 * (own - 0.5) + 0.5, 0, 1).astype(np.float32)
    return made


REAL = bodies(12, 0)
SAME_SHAPE = [number for number, (axes, _) in enumerate(orientations(3)) if axes == (0, 1, 2) and number]


@pytest.mark.parametrize("number", SAME_SHAPE)
def test_reversed_axes_are_brought_back(number: int) -> None:
    made = np.stack([Change(*orientations(3)[number]).turned(image) for image in REAL[:3]])
    found = turned_back(np.ascontiguousarray(made), REAL)
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.pixels, REAL[:3])


def test_exchanged_axes_and_inverted_volumes_are_brought_back() -> None:
    cubes = np.stack([image[:, :12, :12] for image in bodies(12, 1)])
    made = np.stack([np.moveaxis(cubes[0], 0, -1), 1 - cubes[1], np.rot90(cubes[2], 1, axes=(1, 2))])
    found = turned_back(np.ascontiguousarray(made), cubes)
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.pixels, cubes[:3], atol=1e-6)


def test_a_box_is_named_where_it_was() -> None:
    made = np.ascontiguousarray(REAL[:1, ::-1])
    found = turned_back(made, REAL)
    box = np.array([[0, 4], [2, 9], [5, 20]])
    assert box_as_it_was(box, found.poses[0], SHAPE).tolist() == [[8, 12], [2, 9], [5, 20]]
    cube = np.stack([image[:, :12, :12] for image in REAL])
    turned = turned_back(np.ascontiguousarray(np.moveaxis(cube[:1], 1, -1)), cube)
    inside = box_as_it_was(np.array([[0, 4], [2, 9], [5, 12]]), turned.poses[0], (12, 12, 12))
    np.testing.assert_array_equal(np.moveaxis(cube[0], 0, -1)[tuple(slice(*ends) for ends in inside)].shape, (7, 7, 4))


def test_volumes_as_they_stand_are_left_alone_and_the_null_has_two_tries_always() -> None:
    others = bodies(4, 2)
    assert len(turned_back(others, REAL).rows) == 0
    assert turned_back(others, REAL, always=True).rows.tolist() == [0, 1, 2, 3]
