"""Exact Euclidean neighbours in blocks: memory linear in the number of rows, distances right to the last digit.

A block of pairs costs one matrix product in float32, which bounds every squared distance from below
(:mod:`memobench.neighbours.distances`). Only pairs that the bounds cannot rule out are computed, in float64. The
answers are those of float64 arithmetic throughout, whatever the block size. A set's distances to itself are multiplied
once per pair.

faiss is not used. It multiplies a set with itself in full, each pair twice, and its searches at one radius do not say
who lies in whose ball, so that the five neighbour measures would need a pass of ours beside it. Of the processor time
that all five take here, faiss 1.15 takes for the three searches that they begin with, in float32, unrefined and
without the balls, 1.09 times among 20,000 + 20,000 rows of 512 and 0.77 times among 5,000 + 5,000, at 32 dimensions
0.43 and 0.27 times (one thread; medians of two or three). One search between two sets, the 5 nearest, takes
its flat index 0.79 and 0.67 times what it takes here, at 32 dimensions 0.49 and 0.27, again without the refinement. So
it would gain where a search takes a second or less, and lose where it takes long. To measure again:
``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_neighbours_speed.py``. There is no GPU path: no figure that the
benchmark reports waits for these products, and float64 on the processor is what the answers are checked against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memobench.base.errors import DataError
from memobench.neighbours.distances import (
    BLOCK,
    LARGEST,
    Floats,
    Integers,
    Singles,
    SquaredDistances,
    as_points,
    below,
    blocks,
    largest_deviation,
    rounded_up,
    same_dimension,
    squared_distances,
)

__all__ = ["BLOCK", "as_points", "distinct", "nearest", "same_dimension"]

CROWD = 8  # candidates per neighbour that are kept before they are sifted
FEW = 8  # rows compared with each before a set is taken to have many duplicates
SCOUTS = 512  # pool rows that set a query's first limit


class Search:
    """The k nearest pool rows of each query, from blocks that come in ascending order of the pool's rows.

    Args:
        distances: The bounds that made the blocks.
        k: Neighbours per query.

    Attributes:
        limit: (N,) squared distance, in units of scale^2, that the k-th neighbour does not exceed as far as is known;
            negative infinity where no later row can be nearer.
    """

    def __init__(self, distances: SquaredDistances, k: int) -> None:
        self.distances = distances
        self.k = k
        self.limit = np.full(len(distances.queries), np.inf)
        self._found: dict[int, list[_Candidates]] = {}

    def take(self, values: Singles, rows: slice, columns: slice, *, mirrored: bool = False) -> None:
        """Take up the pairs of a block that may be neighbours.

        Args:
            values: The block; infinite where a pair does not count.
            rows: The block's rows.
            columns: The block's columns.
            mirrored: The block is completed, and its columns are the queries: of use where queries and pool are one
                set, whose pairs need be multiplied once.
        """
        points = columns if mirrored else rows
        crowd = CROWD * self.k * (points.stop - points.start)
        scouts = max(SCOUTS, CROWD * self.k)
        self._narrow(values, rows, columns, mirrored, np.isposinf(self.limit[points]), scouts)
        found = self._within(values, rows, columns, mirrored)
        if len(found.point) > crowd:
            count = np.bincount(found.point - points.start, minlength=points.stop - points.start)
            self._narrow(values, rows, columns, mirrored, count > CROWD * self.k, max(values.shape))
            found = self._within(values, rows, columns, mirrored)
        held = self._found.setdefault(points.start, [])
        held.append(found)
        if sum(len(part.point) for part in held) > crowd:
            self._sift(points)

    def finish(self, rows: slice) -> tuple[Integers, Integers, Floats]:
        """Query, pool row and squared distance of the neighbours of some queries, nearest first.

        A query with fewer than k rows to choose from has them all.
        """
        self._sift(rows)
        found = _joined(self._found.pop(rows.start, []))
        squares = self.distances.exact(found.point, found.other)
        order, rank = _ranked(found.point, squares, found.other)
        order = order[rank < self.k]
        return found.point[order], found.other[order], squares[order]

    def _threshold(self, points: slice, mirrored: bool) -> Singles:
        limit = self.limit[points]
        return np.minimum(rounded_up(limit), LARGEST) if mirrored else self.distances.limits(points, limit)

    def _within(self, values: Singles, rows: slice, columns: slice, mirrored: bool) -> _Candidates:
        """The pairs of a block that do not exceed the limits."""
        threshold = self._threshold(columns if mirrored else rows, mirrored)
        row, column = below(values, threshold if mirrored else threshold[:, None])
        return self._pairs(values, rows, columns, mirrored, row, column)

    def _pairs(
        self, values: Singles, rows: slice, columns: slice, mirrored: bool, row: Integers, column: Integers
    ) -> _Candidates:
        bounds = self.distances.completed_bounds if mirrored else self.distances.bounds
        value, row, column = values[row, column], row + rows.start, column + columns.start
        low, high = bounds(row, column, value)
        return _Candidates(column, row, low, high) if mirrored else _Candidates(row, column, low, high)

    def _narrow(
        self, values: Singles, rows: slice, columns: slice, mirrored: bool, which: NDArray[np.bool_], scouts: int
    ) -> None:
        """Lower the limits of some queries to what the k least of a block's first values allow."""
        chosen = np.flatnonzero(which)
        lines = values[:scouts, chosen].T if mirrored else values[chosen, :scouts]
        if lines.shape[1] < self.k or not len(chosen):
            return
        least = np.argpartition(lines, self.k - 1, axis=1)[:, : self.k].ravel()
        own = np.repeat(chosen, self.k)
        pairs = self._pairs(values, rows, columns, mirrored, *((least, own) if mirrored else (own, least)))
        reach = pairs.high.reshape(-1, self.k).max(axis=1)
        chosen += (columns if mirrored else rows).start
        self.limit[chosen] = np.minimum(self.limit[chosen], reach)

    def _sift(self, points: slice) -> None:
        """Drop what the bounds rule out, and where that leaves a crowd, what the distances rule out."""
        found = _joined(self._found.get(points.start, []))
        self._lower(found.point, *_ranked(found.point, found.high), found.high)
        found = found.take(found.low <= np.maximum(self.limit[found.point], 0))
        if 2 * len(found.point) > CROWD * self.k * (points.stop - points.start):
            squares = self.distances.exact(found.point, found.other) / self.distances.scale**2
            order, rank = _ranked(found.point, squares, found.other)
            self._lower(found.point, order, rank, squares)
            order = order[rank < self.k]
            found = _Candidates(found.point[order], found.other[order], squares[order], squares[order])
        self._found[points.start] = [found]

    def _lower(self, point: Integers, order: Integers, rank: Integers, squares: Floats) -> None:
        """Lower the limits to the k-th of some squared distances."""
        last = order[rank == self.k - 1]
        reach = squares[last] * (1 + 2 * self.distances.rounding)
        reach[reach == 0] = -np.inf  # later rows can only tie
        self.limit[point[last]] = np.minimum(self.limit[point[last]], reach)


@dataclass(frozen=True)
class _Candidates:
    """Pairs that may be neighbours, with bounds of their squared distances."""

    point: Integers
    other: Integers
    low: Floats
    high: Floats

    def take(self, kept: NDArray[Any]) -> _Candidates:
        return _Candidates(self.point[kept], self.other[kept], self.low[kept], self.high[kept])


def _joined(parts: list[_Candidates]) -> _Candidates:
    if not parts:
        none = np.empty(0, dtype=np.int64)
        return _Candidates(none, none, np.empty(0), np.empty(0))
    return _Candidates(
        np.concatenate([part.point for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def _ranked(point: Integers, *keys: NDArray[Any]) -> tuple[Integers, Integers]:
    """The order by point and then by the keys, and the rank of each among those of its point."""
    order = np.lexsort((*reversed(keys), point))
    ordered = point[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return order, rank


def nearest(  # noqa: PLR0913  two sets, each with its groups; each word has a default
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
    rows, others = as_points(queries, "queries"), as_points(pool, "pool rows")
    count, size = len(rows), len(others)
    if exclude_self and count != size:
        raise ValueError(f"exclude_self wants the queries to be the pool, not {count} queries and {size} rows")
    query_labels, pool_labels = _labels(query_groups, pool_groups, count, size)
    same_labels = query_labels is None or pool_labels is None or np.array_equal(query_labels, pool_labels)
    if exclude_self and same_labels and np.array_equal(rows, others):
        others = rows
    bounds = SquaredDistances.of(rows, others)
    search = Search(bounds, k)
    distances = np.empty((count, k))
    indices = np.empty((count, k), dtype=np.int64)
    for part in blocks(count, block):
        for columns in blocks(size, block):
            if others is rows and columns.start < part.start:
                continue  # multiplied already, the other way round
            values = bounds.block(part, columns)
            excluded = _excluded(part, columns, exclude_self, query_labels, pool_labels)
            if excluded is not None:
                values[excluded] = np.inf
            search.take(values, part, columns)
            if others is rows and columns.start > part.start:
                search.take(bounds.completed(values, part), part, columns, mirrored=True)
        found, index, squares = search.finish(part)
        eligible = np.bincount(found - part.start, minlength=part.stop - part.start)
        if (eligible < k).any():
            short = int(np.flatnonzero(eligible < k)[0])
            raise DataError(
                f"query {part.start + short} has {eligible[short]} eligible neighbours among {size}, fewer than "
                f"k = {k}; give more images or patients"
            )
        distances[part], indices[part] = np.sqrt(squares).reshape(-1, k), index.reshape(-1, k)
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
    centre = rows.mean(axis=0)
    direction = np.random.default_rng(0).normal(size=rows.shape[1])
    direction /= float(np.linalg.norm(direction))
    place = np.concatenate([(rows[part] - centre) @ direction for part in blocks(count, BLOCK)])
    largest = float(largest_deviation(rows, centre) * math.sqrt(rows.shape[1]) + np.abs(centre).max())
    reach = same + 1e-12 * largest
    order = np.argsort(place, kind="stable")
    place = place[order]
    last = np.searchsorted(place, place + reach, side="right")
    stands_for = np.full(count, -1, dtype=np.int64)
    for position in np.flatnonzero(_accompanied(rows, order, last, same)):
        row = order[position]
        if stands_for[row] >= 0:
            continue
        near = order[position + 1 : last[position]]
        near = near[stands_for[near] < 0]
        near = near[np.square(rows[near] - rows[row]).sum(axis=1) <= same * same]
        members = np.append(near, row)
        stands_for[members] = members.min()
    stands_for = np.where(stands_for < 0, np.arange(count), stands_for)
    chosen, inverse = np.unique(stands_for, return_inverse=True)
    return chosen, inverse.reshape(-1)


def _accompanied(rows: Floats, order: Integers, last: Integers, same: float) -> NDArray[np.bool_]:
    """(N,) in the given order: rows that may be one point with a later one; all, where many are close."""
    later = last - np.arange(len(order)) - 1
    first = np.repeat(np.arange(len(order)), np.minimum(later, FEW))
    second = first + 1 + np.arange(len(first)) - np.searchsorted(first, first)
    result: NDArray[np.bool_] = later > FEW
    squares = squared_distances(rows, rows, order[first], order[second])
    result[first[squares <= same * same]] = True
    return result
