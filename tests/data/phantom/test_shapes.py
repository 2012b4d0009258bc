from __future__ import annotations

import numpy as np
import pytest
from memobench.data.phantom.random import Stream
from memobench.data.phantom.shapes import Profiles, Tubes, crossing, fill, grow, project, remaining, stretch


def test_crossing_matches_the_chord_of_a_turned_ellipse() -> None:
    turn = (np.cos(0.3), np.sin(0.3))
    along = np.linspace(-30.0, 30.0, 7)
    low, high = crossing(along, turn, tuple(np.array(v) for v in (3.0, -2.0, 25.0, 12.0)))
    for t in (low, high):
        hit = high > low
        x, z = along * turn[0] - t * turn[1], along * turn[1] + t * turn[0]
        on = ((x - 3.0) / 25.0) ** 2 + ((z + 2.0) / 12.0) ** 2
        np.testing.assert_allclose(on[hit], 1.0, atol=1e-9)
    assert (high >= low).all()
    assert hit.any()
    assert not hit.all()


def test_remaining_is_the_length_outside_of_the_union() -> None:
    stream = Stream("intervals")
    ends = np.sort(stream.uniforms((5, 2, 40), -2.0, 12.0), axis=1)
    got = remaining((np.zeros(40), np.full(40, 10.0)), [(e[0], e[1]) for e in ends])
    points = (np.arange(20000) + 0.5) / 2000.0
    covered = ((ends[:, 0, :, None] <= points) & (points <= ends[:, 1, :, None])).any(axis=0)
    np.testing.assert_allclose(got, 10.0 - covered.mean(axis=1) * 10.0, atol=0.01)


def test_profiles_pass_through_their_knots_and_stay_outside() -> None:
    values = np.array([[1.0, 3.0, 2.0, 5.0]])
    read = Profiles(values, 10.0, 2.0)(np.array([10.0, 12.0, 14.0, 16.0, 99.0, -99.0]))
    np.testing.assert_allclose(read[0], [1.0, 3.0, 2.0, 5.0, 5.0, 1.0])


@pytest.mark.parametrize("size", [48, 96, 192])
def test_projected_tube_keeps_its_mass_at_every_size(size: int) -> None:
    tube = Tubes.solid(np.array([[30.0, 40.0, 0.0]]), np.array([[60.0, 70.0, 20.0]]), 3.0, 0.5)
    image = project(tube, size, 96.0 / size)
    length = np.sqrt(30.0**2 + 30.0**2 + 20.0**2)
    volume = np.pi * 9.0 * length * 0.5
    assert image.sum() * (96.0 / size) ** 2 == pytest.approx(volume, rel=0.06)
    assert image.min() == 0.0


def test_a_tube_beside_the_image_leaves_it_empty_and_one_across_the_edge_is_cut() -> None:
    out = Tubes.solid(np.array([[-50.0, 10.0, 0.0]]), np.array([[-40.0, 10.0, 0.0]]), 3.0, 1.0)
    assert not project(out, 32, 1.0).any()
    cut = Tubes.solid(np.array([[-10.0, 10.0, 0.0]]), np.array([[10.0, 10.0, 0.0]]), 3.0, 1.0)
    image = project(cut, 32, 1.0)
    assert image[10, 0] > 5.0
    assert not image[:, 12:].any()


def test_fill_counts_the_volume_of_a_tube() -> None:
    axis = (np.arange(60) + 0.5) * 0.5
    tube = Tubes.along(np.array([[8.0, 15.0, 15.0], [22.0, 15.0, 15.0]]), 4.0, 2.0, 1.0, 1.5)
    whole, core = fill(tube, (axis, axis, axis), 0.25)
    expected = np.pi * 16.0 * 14.0 + 4.0 / 3.0 * np.pi * 64.0
    assert whole.sum() * 0.125 == pytest.approx(expected, rel=0.03)
    assert 0.0 < core.sum() < whole.sum()
    assert whole.max() <= 1.0


def test_trees_fork_in_two_and_begin_alike() -> None:
    roots, heading = np.zeros((3, 3)), np.array([[1.0, 0.0, 0.0]] * 3)
    small = grow(Stream("t"), roots, heading, length=10.0, radius=2.0, generations=2, spread=0.5)
    large = grow(Stream("t"), roots, heading, length=10.0, radius=2.0, generations=4, spread=0.5)
    assert len(small.start) == 9
    assert len(large.start) == 45
    np.testing.assert_array_equal(large.end[:9], small.end)
    np.testing.assert_array_equal(small.start[3:6], small.end[:3])


def test_stretch_reads_lattice_points_exactly() -> None:
    lattice = Stream("lattice").normals((4, 5))
    np.testing.assert_allclose(stretch(lattice, [np.arange(4.0), np.arange(5.0)]), lattice, atol=1e-15)
