from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.neighbours.nearest import nearest
from memobench.neighbours.neighbourhoods import between, neighbourhoods
from numpy.testing import assert_allclose, assert_array_equal


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


def features(m=90, n=70, d=6, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(mean, 1, (m, d)), rng.normal(mean + 0.3, 0.8, (n, d))


@pytest.mark.parametrize("mean", [0.0, 1e4, 1e6])
@pytest.mark.parametrize("block", [13, 2048])
def test_one_pass_gives_what_brute_force_and_scikit_learn_give(mean, block):
    neighbors = pytest.importorskip("sklearn.neighbors")
    real, fake = features(mean=mean)
    fake[3] = real[8]
    found = neighbourhoods(real, fake, 4, block=block)
    for rows, ours in ((real, found.real_distances), (fake, found.fake_distances)):
        tree = neighbors.NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(rows)
        assert_allclose(ours, tree.kneighbors()[0], rtol=1e-9)
    distances = np.sqrt(np.square(real[:, None] - fake[None]).sum(axis=2))
    assert_array_equal(found.nearest_index, distances.argmin(axis=0))
    assert_allclose(found.nearest_distance, distances.min(axis=0), rtol=1e-13)
    in_real = distances < found.real_distances[:, -1:]
    assert_array_equal(found.real_balls, in_real.sum(axis=0))
    assert_array_equal(found.fakes_held, in_real.sum(axis=1))
    assert_array_equal(found.fake_balls, (distances < found.fake_distances[:, -1]).sum(axis=1))


def test_duplicates_count_once_and_get_the_values_of_their_point():
    real, fake = features()
    once, ten = neighbourhoods(real, fake), neighbourhoods(np.repeat(real, 10, axis=0), np.tile(fake, (3, 1)))
    assert_array_equal(ten.real_distances, np.repeat(once.real_distances, 10, axis=0))
    assert_array_equal(ten.fakes_held, np.repeat(once.fakes_held, 10))
    assert_array_equal(ten.fake_balls, np.repeat(once.fake_balls, 10))
    assert_array_equal(ten.nearest_index, np.tile(once.nearest_index * 10, 3))
    assert_array_equal(ten.real_balls, np.tile(once.real_balls, 3))


def test_generated_equal_to_real_lone_points_and_constants():
    real, _ = features()
    found = neighbourhoods(real, real)
    assert_array_equal(found.nearest_distance, 0)
    assert_array_equal(found.nearest_index, np.arange(90))
    lone = neighbourhoods(real, real[4:5])
    assert_array_equal(lone.fake_distances, [[0]])
    assert_array_equal(np.flatnonzero(lone.fake_balls), [4])
    constant = neighbourhoods(np.ones((7, 3)), np.ones((5, 3)))
    for values in (constant.real_balls, constant.fakes_held, constant.fake_balls):
        assert_array_equal(values, 1)
    assert_array_equal(constant.nearest_index, 0)


def test_refusals():
    real, fake = features()
    with pytest.raises(DataError, match="90 real and 0 generated images"):
        neighbourhoods(real, fake[:0])
    with pytest.raises(DataError, match="features of generated images hold NaN or infinite values in 70 of 70"):
        neighbourhoods(real, fake * np.nan)
    with pytest.raises(DataError, match="6 and 2 dimensions"):
        neighbourhoods(real, fake[:, :2])
