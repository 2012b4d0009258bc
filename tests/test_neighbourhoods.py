from __future__ import annotations

import numpy as np
import pytest
from memobench.neighbourhoods import between
from memobench.neighbours import nearest
from numpy.testing import assert_array_equal


@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize("block", [5, 2048])
def test_between_equal_brute_force(mean, block):
    rng = np.random.default_rng(4)
    queries, pool = rng.normal(mean, 1, (60, 12)), rng.normal(mean, 1, (45, 12))
    queries[:5] = pool[:5]
    query_radii, pool_radii = rng.uniform(3, 5, 60), rng.uniform(3, 5, 45)
    pool_radii[0] = 0  # holds its copy all the same
    distances = np.sqrt(np.square(queries[:, None] - pool[None]).sum(axis=2))
    counts = between(queries, pool, query_radii=query_radii, pool_radii=pool_radii, block=block)
    held = (distances < pool_radii) | (distances == 0)
    assert_array_equal(counts.pool_balls, held.sum(axis=1))
    assert_array_equal(counts.queries_held, held.sum(axis=0))
    assert_array_equal(counts.query_balls, (distances < query_radii[:, None]).sum(axis=0))


def test_the_surface_of_a_ball_is_outside_whatever_the_rounding():
    rng = np.random.default_rng(5)
    pool = rng.normal(1e3, 1, (200, 33))
    radii = nearest(pool, pool, k=3, exclude_self=True)[0][:, -1]
    counts = between(pool[:, ::-1], pool[:, ::-1], query_radii=radii, pool_radii=radii)  # sums in another order
    assert_array_equal(counts.queries_held, 3)  # itself and two neighbours, the third lies on the surface
