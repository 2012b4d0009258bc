from __future__ import annotations

import numpy as np
import pytest
from memobench.data.phantom.points import OUTSIDE, Points, ripples, smooth_union
from memobench.data.phantom.random import Stream


@pytest.fixture
def cloud() -> Points:
    x, y, z = Stream("cloud").uniforms((3, 4000), -30.0, 30.0)
    return Points(x, y, z, 2.0)


def test_a_ball_is_an_ellipsoid_and_a_short_tube(cloud: Points) -> None:
    exact = np.sqrt((cloud.x - 3.0) ** 2 + (cloud.y + 4.0) ** 2 + cloud.z**2) - 11.0
    np.testing.assert_allclose(cloud.ellipsoid((3.0, -4.0, 0.0), (11.0, 11.0, 11.0)), exact, atol=0.01)
    tube = cloud.tube((3.0, -4.0, 0.0), (3.0, -3.999, 0.0), 11.0, 11.0)
    np.testing.assert_allclose(tube, exact, atol=0.01)


def test_an_ellipsoids_surface_and_nearby_distances() -> None:
    angle = np.linspace(0.0, 6.0, 50)
    radii = np.array([10.0, 20.0, 15.0])
    on = np.stack([np.cos(angle), 0.6 * np.sin(angle), 0.8 * np.sin(angle)], axis=1)  # of the unit ball
    normal = on / radii
    normal /= np.sqrt((normal**2).sum(axis=1, keepdims=True))
    for step in (-1.0, 0.0, 1.0):
        x, y, z = (on * radii + step * normal).T
        np.testing.assert_allclose(Points(x, y, z, 1.0).ellipsoid((0.0, 0.0, 0.0), (10.0, 20.0, 15.0)), step, atol=0.1)


def test_a_column_ignores_the_height(cloud: Points) -> None:
    distance = cloud.column(1.0, np.full(4000, -2.0), np.full(4000, 9.0), np.full(4000, 9.0))
    np.testing.assert_allclose(distance, np.sqrt((cloud.x - 1.0) ** 2 + (cloud.z + 2.0) ** 2) - 9.0, atol=0.01)


def test_a_tubes_radius_changes_along_it() -> None:
    y = np.array([0.0, 5.0, 10.0])
    p = Points(np.full(3, 6.0), y, np.zeros(3), 1.0)
    np.testing.assert_allclose(p.tube((0.0, 0.0, 0.0), (0.0, 10.0, 0.0), 1.0, 3.0), [5.0, 4.0, 3.0])
    np.testing.assert_allclose(p.tube((0.0, 0.0, 0.0), (0.0, 10.0, 0.0), 1.0, 3.0, flat=2.0), [2.0, 1.0, 0.0])


def test_solids_beside_all_points_are_passed_over(cloud: Points) -> None:
    for far in (cloud.ellipsoid((60.0, 0.0, 0.0), (5.0, 5.0, 5.0)), cloud.tube((-60.0, 0, 0), (-50.0, 9, 0), 5.0, 3.0)):
        assert far.shape == ()
        assert far == OUTSIDE
        assert cloud.inside(far) == 0.0
    assert cloud.ellipsoid((38.0, 0.0, 0.0), (5.0, 5.0, 5.0)).shape == (4000,)


def test_edges_fade_over_their_width_and_thin_sheets_stay_thin() -> None:
    depth = np.linspace(-6.0, 6.0, 4801)
    p = Points(depth, depth, depth, 2.0)
    share = p.inside(depth)
    assert share[depth < -1.0].min() == 1.0
    assert share[depth > 1.0].max() == 0.0
    for half in (0.2, 0.5, 2.0):
        assert p.band(depth, half).mean() * 12.0 == pytest.approx(2.0 * half, rel=0.01)
    assert p.band(depth, 0.2).max() < 0.4


def test_turning_keeps_lengths(cloud: Points) -> None:
    turned = cloud.turned(0.4)
    np.testing.assert_allclose(turned.y**2 + turned.z**2, cloud.y**2 + cloud.z**2)
    np.testing.assert_allclose(turned.turned(-0.4).y, cloud.y, atol=1e-12)


def test_smooth_union_is_below_both_and_exact_far_from_the_seam() -> None:
    a, b = Stream("union").uniforms((2, 500), -20.0, 20.0)
    joined = smooth_union(a, b, 4.0)
    assert (joined <= np.minimum(a, b) + 1e-12).all()
    far = np.abs(a - b) > 4.0
    np.testing.assert_allclose(joined[far], np.minimum(a, b)[far], atol=1e-12)


def test_ripples_have_unit_spread_and_fibres_run_along_y() -> None:
    axis = np.linspace(-40.0, 40.0, 33)
    x, y, z = (v.ravel() for v in np.meshgrid(axis, axis, axis, indexing="ij"))
    p = Points(x, y, z, 1.0)
    fields = [ripples(Stream("ripples", k), p, 6, 8.0, 30.0) for k in range(6)]
    assert np.mean([f.std() for f in fields]) == pytest.approx(1.0, abs=0.12)
    assert abs(np.mean(fields)) < 0.1
    fibres = np.mean(
        [ripples(Stream("fibres", k), p, 6, 8.0, 30.0, along=0.1).reshape(33, 33, 33) for k in range(4)], 0
    )
    along, across = np.abs(np.diff(fibres, axis=1)).mean(), np.abs(np.diff(fibres, axis=0)).mean()
    assert along < 0.4 * across
