"""Exact Euclidean neighbours in blocks: memory linear in the number of rows, distances right to the last digit.

A block of squared distances comes from one float32 matrix product of centred rows. That product is only a bound: its
rounding error is at most ``slack * (|q|^2 + |p|^2)``, so every pair that the bound cannot decide is computed again in
float64 as a difference of the given rows. (A matrix product alone gives an exact copy a distance of 0.02 to 2.0.) The
answers are those of float64 arithmetic throughout, whatever the block size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.errors import DataError

BLOCK = 2048
UNIT_ROUNDOFF = 2.0**-24  # of float32
TIE = 1e-9  # squared distances that differ by less, relatively, are equal: they differ by rounding alone
CHUNK = 1 << 21  # numbers held at once while differences are taken


def as_points(points: ArrayLike, name: str = "features") -> NDArray[np.float64]:
    """The rows as (N, D) float64.

    Raises:
        DataError: Not two-dimensional, or NaN or infinite values.
    """
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{name} have shape {array.shape}; give (images, dimensions)")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        raise DataError(f"{name} hold NaN or infinite values in {bad} of {len(array)} rows; mend the extractor first")
    return array


def same_dimension(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    """Refuse two sets of rows whose dimensions differ.

    Raises:
        DataError: They do.
    """
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"features have {first.shape[1]} and {second.shape[1]} dimensions; extract both with the same network"
        )


@dataclass(frozen=True)
class _Pair:
    """Two sets of rows, as given and as centred and scaled float32, with the bound on the product's error."""

    queries: NDArray[np.float64]
    pool: NDArray[np.float64]
    queries32: NDArray[np.float32]
    pool32: NDArray[np.float32]
    queries_square: NDArray[np.float32]
    pool_square: NDArray[np.float32]
    scale: float  # centred rows were divided by it
    slack: np.float32

    @classmethod
    def of(cls, queries: NDArray[np.float64], pool: NDArray[np.float64]) -> _Pair:
        same_dimension(queries, pool)
        centre = pool.mean(axis=0) if len(pool) else np.zeros(pool.shape[1])
        largest = max((float(np.abs(rows - centre).max()) for rows in (queries, pool) if len(rows)), default=0.0)
        dimension = queries.shape[1]
        scale = largest * math.sqrt(dimension) if largest > 0 else 1.0  # squared norms stay below 1
        small = [((rows - centre) / scale).astype(np.float32) for rows in (queries, pool)]
        squares = [np.einsum("ij,ij->i", rows, rows) for rows in small]
        # Rounding errors of a sum of D terms grow as sqrt(D) (Higham & Mary 2019); 8 of their deviations and then some.
        slack = np.float32((8 * math.sqrt(dimension) + 16) * UNIT_ROUNDOFF)
        return cls(queries, pool, small[0], small[1], squares[0], squares[1], scale, slack)

    def bounds(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lower and upper bounds of the scaled squared distances of a block."""
        norms = self.queries_square[rows, None] + self.pool_square[None, columns]
        product = self.queries32[rows] @ self.pool32[columns].T
        product *= -2
        product += norms
        norms *= self.slack
        return product - norms, product + norms

    def exact(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Squared distances of single pairs, in float64 by difference."""
        squares = np.empty(len(rows))
        step = max(1, CHUNK // self.queries.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            difference = self.queries[rows[part]] - self.pool[columns[part]]
            difference *= difference
            squares[part] = difference.sum(axis=1)
        return squares


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def nearest(
    queries: ArrayLike,
    pool: ArrayLike,
    *,
    k: int = 1,
    exclude_self: bool = False,
    query_groups: NDArray[Any] | None = None,
    pool_groups: NDArray[Any] | None = None,
    block: int = BLOCK,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest rows of the pool to each query, by Euclidean distance.

    Equal distances go to the lower index. Time is O(N M D), memory O((N + M) D + block^2).

    Args:
        queries: (N, D) rows.
        pool: (M, D) rows.
        k: Neighbours per query.
        exclude_self: The queries are the pool, row for row, and no row is its own neighbour.
        query_groups: (N,) group (patient) of each query; with ``pool_groups``, no neighbour is of the query's group.
        pool_groups: (M,) group of each row of the pool.
        block: Rows per block.

    Returns:
        (N, k) float64 distances, ascending, and (N, k) int64 indices into the pool.

    Raises:
        DataError: NaN, dimensions that differ, or a query with fewer than k neighbours to choose from.

    >>> distances, index = nearest([[0.0], [9.0]], [[1.0], [8.0], [3.0]], k=2)
    >>> distances.tolist(), index.tolist()
    ([[1.0, 3.0], [1.0, 6.0]], [[0, 2], [1, 2]])
    >>> nearest([[0.0], [0.0], [5.0]], [[0.0], [0.0], [5.0]], exclude_self=True)[1].ravel().tolist()
    [1, 0, 0]
    """
    if k < 1:
        raise ValueError(f"k is {k}; ask for one neighbour at least")
    pair = _Pair.of(as_points(queries, "queries"), as_points(pool, "pool rows"))
    count, size = len(pair.queries), len(pair.pool)
    if exclude_self and count != size:
        raise ValueError(f"exclude_self wants the queries to be the pool, not {count} queries and {size} rows")
    query_labels, pool_labels = _labels(query_groups, pool_groups, count, size)
    distances = np.empty((count, k))
    indices = np.empty((count, k), dtype=np.int64)
    for rows in _blocks(count, block):
        length = rows.stop - rows.start
        best = np.full((length, k), np.inf)
        best_index = np.full((length, k), size, dtype=np.int64)
        for columns in _blocks(size, block):
            lower, upper = pair.bounds(rows, columns)
            excluded = _excluded(rows, columns, exclude_self, query_labels, pool_labels)
            if excluded is not None:
                lower[excluded] = upper[excluded] = np.inf
            limit = np.nextafter(np.square(best[:, -1] / pair.scale).astype(np.float32), np.float32(np.inf))
            if upper.shape[1] >= k:
                upper.partition(k - 1, axis=1)
                limit = np.minimum(limit, upper[:, k - 1])
            at, column = np.nonzero((lower <= limit[:, None]) & (lower < np.inf))
            found = np.sqrt(pair.exact(at + rows.start, column + columns.start))
            best, best_index = _merge(best, best_index, at, found, column + columns.start)
        if not np.isfinite(best).all():
            short = int(np.flatnonzero(~np.isfinite(best).all(axis=1))[0])
            eligible = int(np.isfinite(best[short]).sum())
            raise DataError(
                f"query {rows.start + short} has {eligible} eligible neighbours among {size}, fewer than k = {k}; "
                "give more images or patients"
            )
        distances[rows], indices[rows] = best, best_index
    return distances, indices


def _labels(
    query_groups: NDArray[Any] | None, pool_groups: NDArray[Any] | None, count: int, size: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Both sets' groups as integers that mean the same in both."""
    if query_groups is None and pool_groups is None:
        return None, None
    if query_groups is None or pool_groups is None:
        raise ValueError("groups are given of one set alone; give query_groups and pool_groups")
    if len(query_groups) != count or len(pool_groups) != size:
        raise ValueError(f"{count} queries and {size} rows have {len(query_groups)} and {len(pool_groups)} groups")
    joined = np.concatenate([np.asarray(query_groups), np.asarray(pool_groups)])
    codes = np.unique(joined, return_inverse=True)[1].reshape(-1)
    return codes[:count], codes[count:]


def _excluded(
    rows: slice,
    columns: slice,
    exclude_self: bool,
    query_labels: NDArray[np.int64] | None,
    pool_labels: NDArray[np.int64] | None,
) -> NDArray[np.bool_] | None:
    mask: NDArray[np.bool_] | None = None
    if query_labels is not None and pool_labels is not None:
        mask = query_labels[rows, None] == pool_labels[None, columns]
    if exclude_self and rows.start < columns.stop and columns.start < rows.stop:
        same = np.arange(rows.start, rows.stop)[:, None] == np.arange(columns.start, columns.stop)[None]
        mask = same if mask is None else mask | same
    return mask


def _merge(
    best: NDArray[np.float64],
    best_index: NDArray[np.int64],
    at: NDArray[np.int64],
    distances: NDArray[np.float64],
    index: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k best of those held and those new, ordered by distance and then by index."""
    length, k = best.shape
    row = np.concatenate([np.repeat(np.arange(length), k), at])
    distance = np.concatenate([best.ravel(), distances])
    candidate = np.concatenate([best_index.ravel(), index])
    order = np.lexsort((candidate, distance, row))
    first = np.searchsorted(row[order], np.arange(length))
    chosen = order[first[:, None] + np.arange(k)]
    return distance[chosen], candidate[chosen]


@dataclass(frozen=True)
class BallCounts:
    """How the rows of two sets lie in the balls around each other's rows.

    Attributes:
        pool_balls: (N,) balls around pool rows that hold each query.
        queries_held: (M,) queries that the ball around each pool row holds.
        query_balls: (M,) balls around queries that hold each pool row.
    """

    pool_balls: NDArray[np.int64]
    queries_held: NDArray[np.int64]
    query_balls: NDArray[np.int64]


def ball_counts(
    queries: ArrayLike,
    pool: ArrayLike,
    *,
    query_radii: NDArray[np.float64],
    pool_radii: NDArray[np.float64],
    same: float = 0.0,
    block: int = BLOCK,
) -> BallCounts:
    """Count, in one pass over all pairs, who lies in whose ball.

    A ball is open: its surface is outside, where surface means equal to the radius but for rounding (a relative 1e-9
    of the square). A point at a distance of at most ``same`` from the centre is inside whatever the radius.

    Args:
        queries: (N, D) rows.
        pool: (M, D) rows.
        query_radii: (N,) radius of the ball around each query.
        pool_radii: (M,) radius of the ball around each pool row.
        same: The distance up to which two rows are one point.
        block: Rows per block.

    >>> counts = ball_counts([[0.0], [3.0]], [[1.0]], query_radii=np.array([2.0, 2.0]), pool_radii=np.array([1.5]))
    >>> counts.pool_balls.tolist(), counts.queries_held.tolist(), counts.query_balls.tolist()
    ([1, 0], [1], [1])
    """
    pair = _Pair.of(as_points(queries, "queries"), as_points(pool, "pool rows"))
    row_limit, column_limit = _limits(query_radii, same), _limits(pool_radii, same)
    counts = BallCounts(*(np.zeros(len(rows), dtype=np.int64) for rows in (pair.queries, pair.pool, pair.pool)))
    for rows in _blocks(len(pair.queries), block):
        for columns in _blocks(len(pair.pool), block):
            lower, upper = pair.bounds(rows, columns)
            inside = _inside(pair, rows, columns, lower, upper, column_limit[None, columns])
            counts.pool_balls[rows] += inside.sum(axis=1)
            counts.queries_held[columns] += inside.sum(axis=0)
            inside = _inside(pair, rows, columns, lower, upper, row_limit[rows, None])
            counts.query_balls[columns] += inside.sum(axis=0)
    return counts


def _limits(radii: NDArray[np.float64], same: float) -> NDArray[np.float64]:
    """The square that a squared distance must stay below to be inside."""
    return np.maximum(np.square(radii) * (1 - TIE), np.nextafter(same * same, np.inf))


def _inside(
    pair: _Pair,
    rows: slice,
    columns: slice,
    lower: NDArray[np.float32],
    upper: NDArray[np.float32],
    limit: NDArray[np.float64],
) -> NDArray[np.bool_]:
    scaled = (limit / pair.scale**2).astype(np.float32)
    inside = upper < np.nextafter(scaled, np.float32(-np.inf))
    doubtful = lower < np.nextafter(scaled, np.float32(np.inf))
    doubtful &= ~inside
    at, column = np.nonzero(doubtful)
    squares = pair.exact(at + rows.start, column + columns.start)
    inside[at, column] = squares < np.broadcast_to(limit, inside.shape)[at, column]
    return inside


def distinct(points: ArrayLike, *, same: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different points of a set, where rows at most ``same`` apart from a chosen row are one point with it.

    Rows are sorted along one direction, on which no distance grows, so only close ones are compared: O(N log N) but
    for the duplicates.

    Args:
        points: (N, D) rows.
        same: The distance up to which two rows are one point.

    Returns:
        (U,) the index of the row that stands for each point, ascending, and (N,) where in it each row's point is.

    >>> chosen, inverse = distinct([[1.0, 2.0], [5.0, 5.0], [1.0, 2.0]])
    >>> chosen.tolist(), inverse.tolist()
    ([0, 1], [0, 1, 0])
    """
    rows = as_points(points)
    count = len(rows)
    if count == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    centred = rows - rows.mean(axis=0)
    direction = np.random.default_rng(0).normal(size=rows.shape[1])
    place = centred @ (direction / np.linalg.norm(direction))
    reach = same + 1e-12 * max(float(np.abs(centred).max()) * math.sqrt(rows.shape[1]), float(np.abs(rows).max()))
    order = np.argsort(place, kind="stable")
    place = place[order]
    last = np.searchsorted(place, place + reach, side="right")
    stands_for = np.full(count, -1, dtype=np.int64)
    for position, row in enumerate(order):
        if stands_for[row] >= 0:
            continue
        stands_for[row] = row
        if last[position] == position + 1:
            continue
        near = order[position + 1 : last[position]]
        near = near[stands_for[near] < 0]
        near = near[np.square(rows[near] - rows[row]).sum(axis=1) <= same * same]
        members = np.append(near, row)
        stands_for[members] = members.min()
    chosen, inverse = np.unique(stands_for, return_inverse=True)
    return chosen, inverse.reshape(-1)
