from __future__ import annotations

import numpy as np
import pytest
from memobench.neighbours.distances import PIECE, SquaredDistances, below, in_threads, squared_distances, strips
from numpy.testing import assert_allclose, assert_array_equal


def sets(kind, dimension):
    rng = np.random.default_rng(0)
    queries, pool = rng.normal(size=(30, dimension)), rng.normal(size=(40, dimension))
    match kind:
        case "mean":
            return queries + 1e6, pool + 1e6
        case "far":
            return queries + 1e4, pool
        case "near duplicates":
            return np.concatenate([pool[:15], pool[:15] * (1 + 1e-9)]), pool
        case "outlier":
            pool[0] *= 1e8
        case "positive":
            return np.abs(queries), np.abs(pool)
        case "tiny":
            return queries * 2.0**-100, pool * 2.0**-100
        case "one point":
            return np.ones((30, dimension)), np.ones((40, dimension))
    return queries, pool


KINDS = ["plain", "mean", "far", "near duplicates", "outlier", "positive", "tiny", "one point"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [1, 17, 600, 2 * PIECE + 5])
def test_bounds_hold_for_every_pair_and_are_narrow(kind, dimension):
    queries, pool = sets(kind, dimension)
    bounds = SquaredDistances.of(queries, pool)
    rows, columns = slice(3, 30), slice(0, 40)
    block = bounds.block(rows, columns)
    at, other = np.divmod(np.arange(block.size), 40)
    at += 3
    exact = bounds.exact(at, other)
    assert_allclose(exact, np.square(queries[at] - pool[other]).sum(axis=1), rtol=1e-12)
    scaled = exact / bounds.scale**2
    low, high = bounds.bounds(at, other, block.ravel())
    assert (low <= scaled * (1 + bounds.rounding)).all()
    assert (scaled * (1 - bounds.rounding) <= high).all()
    norms = bounds.pool_norm[other] * (bounds.pool_norm[other] + 2 * bounds.query_norm[at])
    assert (high - low <= 1e-3 * norms + 1e-12 * bounds.query_square[at] + 1e-31).all()
    # a limit at the distance itself keeps every pair
    flat = np.flatnonzero(block <= bounds.limits(rows, scaled.reshape(block.shape).max(axis=1))[:, None])
    assert len(flat) == block.size
    completed = bounds.completed(block, rows).ravel()
    low, high = bounds.completed_bounds(at, other, completed)
    assert (low <= scaled * (1 + bounds.rounding)).all()
    assert (scaled * (1 - bounds.rounding) <= high).all()


def test_below_and_parts_are_the_same_for_any_number_of_threads(monkeypatch):
    values = np.random.default_rng(1).random((3000, 700)).astype(np.float32)
    threshold = np.linspace(0, 0.01, 3000, dtype=np.float32)[:, None]
    assert len(strips(values)) > 1
    answers = []
    for number in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", number)
        answers.append((*below(values, threshold), *below(values, threshold[:700, 0])))
        assert in_threads(lambda part: part.start, strips(values)) == [part.start for part in strips(values)]
    for first, second in zip(*answers, strict=True):
        assert_array_equal(first, second)
    assert_array_equal(np.stack(answers[0][:2]), np.nonzero(values <= threshold))
    assert_array_equal(np.stack(answers[0][2:]), np.nonzero(values <= threshold[:700, 0]))
    assert [len(part) for part in below(np.empty((0, 4), dtype=np.float32), threshold[:0])] == [0, 0]


def test_squared_distances_of_many_pairs(monkeypatch):
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(50, 4000)), rng.normal(size=(60, 4000))
    rows, columns = rng.integers(0, 50, 700), rng.integers(0, 60, 700)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    squares = squared_distances(first, second, rows, columns)
    assert_allclose(squares, np.square(first[rows] - second[columns]).sum(axis=1), rtol=1e-12)


def test_products_are_the_same_for_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(3)
    bounds = SquaredDistances.of(rng.normal(size=(1500, PIECE + 8)), rng.normal(size=(1600, PIECE + 8)))
    blocks = []
    for number in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", number)
        blocks.append(bounds.block(slice(0, 1500), slice(0, 1600)))
    assert_allclose(blocks[0], blocks[1], rtol=0, atol=2 * bounds.slack)  # squared norms are below 1
