from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memobench.base.errors import DataError
from memobench.neighbours.nearest import distinct, nearest
from numpy.testing import assert_allclose, assert_array_equal


def brute(queries, pool, forbidden=None):
    """All distances in float64 by difference, and the order with ties to the lower index."""
    distances = np.sqrt(np.square(queries[:, None] - pool[None]).sum(axis=2))
    if forbidden is not None:
        distances[forbidden] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, axis=1), order


@pytest.mark.parametrize("mean", [0.0, 10.0, 1e3, 1e6])
def test_equals_brute_force_and_scikit_learn_at_any_mean(mean):
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    queries, pool = rng.normal(mean, 1, (70, 24)), rng.normal(mean, 1, (150, 24))
    distances, index = nearest(queries, pool, k=4, block=32)
    expected, order = brute(queries, pool)
    assert_array_equal(index, order[:, :4])
    assert_allclose(distances, expected[:, :4], rtol=1e-14)
    tree = neighbors.NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(pool)
    theirs, their_index = tree.kneighbors(queries)
    assert_array_equal(index, their_index)
    assert_allclose(distances, theirs, rtol=1e-9)


@pytest.mark.parametrize("mean", [0.0, 100.0, 1e3])
def test_exact_copies_have_distance_zero(mean):
    pool = np.random.default_rng(1).normal(mean, 1, (300, 64)).astype(np.float32)
    distances, index = nearest(pool, pool)
    assert_array_equal(distances[:, 0], 0)
    assert_array_equal(index[:, 0], np.arange(300))
    assert nearest(pool, pool, exclude_self=True)[0].min() > 1


def test_block_size_changes_nothing():
    rng = np.random.default_rng(2)
    queries, pool = rng.normal(size=(41, 8)), rng.integers(0, 2, size=(60, 8)).astype(float)  # many ties
    whole = nearest(queries.round(), pool, k=5)
    for block in (1, 3, 7, 59):
        again = nearest(queries.round(), pool, k=5, block=block)
        assert_array_equal(whole[0], again[0])
        assert_array_equal(whole[1], again[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 12), st.integers(3, 20), st.integers(1, 5)),
    spread=st.sampled_from([0, 1, 3]),
    offset=st.sampled_from([0.0, 1e4]),
    scale=st.sampled_from([2.0**-60, 1.0, 2.0**40]),
    k=st.integers(1, 3),
    block=st.integers(1, 9),
)
def test_ties_go_to_the_lower_index(seed, shape, spread, offset, scale, k, block):
    rng = np.random.default_rng(seed)
    queries = (rng.integers(-spread, spread + 1, (shape[0], shape[2])) + offset) * scale
    pool = (rng.integers(-spread, spread + 1, (shape[1], shape[2])) + offset) * scale
    distances, index = nearest(queries, pool, k=k, block=block)
    expected, order = brute(queries, pool)
    assert_array_equal(distances, expected[:, :k])
    assert_array_equal(index, order[:, :k])


def test_the_pass_within_a_set_equals_that_between_two():
    rng = np.random.default_rng(7)
    pool = np.concatenate([rng.normal(1e3, 1, (80, 9)), rng.integers(999, 1001, (60, 9))])  # the latter with ties
    patients = np.arange(140) // 4
    for block in (16, 33, 2048):
        inside = nearest(pool, pool, k=6, exclude_self=True, block=block)
        expected, order = brute(pool, pool, np.eye(140, dtype=bool))
        assert_array_equal(inside[1], order[:, :6])
        assert_allclose(inside[0], expected[:, :6], rtol=1e-14)
        grouped = nearest(pool, pool, k=6, exclude_self=True, query_groups=patients, pool_groups=patients, block=block)
        between = nearest(pool, pool, k=6, query_groups=patients, pool_groups=patients, block=block)
        assert_array_equal(grouped[1], between[1])
        assert_array_equal(grouped[0], between[0])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_a_pool_in_the_order_of_its_distances(order, exclude_self):
    pool = np.sort(np.random.default_rng(8).normal(size=(2000, 1)), axis=0)[::order] * np.ones(40)
    queries = pool if exclude_self else pool + 0.01
    distances, index = nearest(queries, pool, k=2, exclude_self=exclude_self, block=128)
    expected, ranking = brute(queries[:, :1], pool[:, :1], np.eye(2000, dtype=bool) if exclude_self else None)
    assert_allclose(distances, expected[:, :2] * np.sqrt(40), rtol=1e-9)
    assert (index == ranking[:, :2]).mean() > 0.999  # sums of 40 round otherwise than one number


@pytest.mark.parametrize("dimension", [5, 2500])
def test_sets_far_from_each_other_and_images_ten_times(dimension):
    rng = np.random.default_rng(9)
    queries, pool = rng.normal(1e4, 1, (40, dimension)), np.repeat(rng.normal(size=(20, dimension)), 10, axis=0)
    distances, index = nearest(queries, pool, k=11, block=64)
    expected, order = brute(queries, pool)
    assert_array_equal(index, order[:, :11])
    assert_allclose(distances, expected[:, :11], rtol=1e-13)
    assert_array_equal(nearest(pool, pool, k=9, exclude_self=True)[0], 0)
    assert nearest(np.ones((1, 3)), np.ones((1, 3)))[1].tolist() == [[0]]
    assert_array_equal(nearest(np.ones((300, 3)), np.ones((300, 3)), k=2, block=32)[1], [[0, 1]] * 300)


def test_groups_are_never_neighbours_of_themselves():
    rng = np.random.default_rng(3)
    pool = rng.normal(size=(90, 6))
    patients = np.repeat([f"p{i}" for i in range(30)], 3)
    distances, index = nearest(pool, pool, k=2, query_groups=patients, pool_groups=patients, block=16)
    assert not (patients[index] == patients[:, None]).any()
    expected, order = brute(pool, pool, patients[:, None] == patients[None])
    assert_array_equal(index, order[:, :2])
    assert_allclose(distances, expected[:, :2], rtol=1e-14)


def test_refusals_are_one_line_that_names_the_thing():
    rows = np.zeros((3, 2))
    with pytest.raises(DataError, match="NaN or infinite values in 1 of 3"):
        nearest(np.array([[0.0, 1], [np.nan, 0], [1, 1]]), rows)
    with pytest.raises(DataError, match="2 and 3 dimensions"):
        nearest(rows, np.zeros((3, 3)))
    with pytest.raises(DataError, match="query 0 has 3 eligible neighbours among 3, fewer than k = 4"):
        nearest(rows, rows, k=4)
    with pytest.raises(DataError, match="0 eligible"):
        nearest(rows, rows, query_groups=np.zeros(3), pool_groups=np.zeros(3))
    with pytest.raises(DataError, match="0 eligible"):
        nearest(rows, np.empty((0, 2)))
    with pytest.raises(DataError, match="shape"):
        nearest(np.zeros(3), rows)
    with pytest.raises(ValueError, match="exclude_self"):
        nearest(rows, np.zeros((4, 2)), exclude_self=True)
    with pytest.raises(ValueError, match="one set alone"):
        nearest(rows, rows, query_groups=np.zeros(3))


def test_distinct_finds_exact_and_near_duplicates():
    rng = np.random.default_rng(6)
    points = rng.normal(1e3, 1, (100, 16))
    many = np.concatenate([points, points[::-1], points + 1e-9])
    chosen, inverse = distinct(many[:200])
    assert_array_equal(chosen, np.arange(100))
    assert_array_equal(many[:200][chosen][inverse], many[:200])
    assert len(distinct(many, same=1e-6)[0]) == 100
    assert len(distinct(many)[0]) == 200
    assert len(distinct(np.ones((50, 4)))[0]) == 1
    assert len(distinct(np.empty((0, 4)))[0]) == 0
