"""Squared distances between rows, bounded by matrix products in float32 and exact for single pairs.

A matrix product alone gives an exact copy a distance of 0.02 to 2.0, since it is the small difference of large sums.
Here it is only a bound with a proof: what the bound cannot decide is computed again in float64 as a difference of the
given rows, so that both together give the answers of float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController

from memobench.base.errors import DataError
from memobench.base.processors import workers

BLOCK = 2048  # rows of a block: 16 MiB of pairs
PIECE = 1024  # dimensions in one matrix product: a longer sum would round more
UNIT_ROUNDOFF = 2.0**-24  # of float32
TINY = 1e-32  # more than all underflow in a product of rows that are shorter than 1
LARGEST = np.finfo(np.float32).max
CHUNK = 1 << 19  # numbers held at once while differences are taken: they stay in the cache
STRIP = 1 << 20  # pairs that a thread multiplies or compares at once

T = TypeVar("T")
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]


def as_points(points: ArrayLike, name: str = "features") -> Floats:
    """The rows as (N, D) float64.

    Raises:
        DataError: Not two-dimensional, or NaN or infinite values.
    """
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{name} have shape {array.shape}; give (images, dimensions)")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        raise DataError(
            f"{name} hold NaN or infinite values in {bad} of {len(array)} rows; correct the extractor first"
        )
    return array


def same_dimension(first: Floats, second: Floats) -> None:
    """Refuse two sets of rows whose dimensions differ.

    Raises:
        DataError: They do.
    """
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"features have {first.shape[1]} and {second.shape[1]} dimensions; extract both with the same network"
        )


@dataclass(frozen=True)
class SquaredDistances:
    """Bounds of the squared distances between two sets of rows, block by block, and the distances of single pairs.

    With q and p the rows centred on the pool's mean and divided by ``scale``, a block holds
    ``|p|^2 - 2 q.p - slack (|p|^2 + 2 |q| |p|)``, all in one product of rows with two more columns. A sum of n terms
    in floating point, in whatever order, is off by at most n u / (1 - n u) of the sum of their sizes (Higham 2002,
    section 3.1), u being the unit roundoff; rounding p and q to float32 adds at most 6 u. ``slack`` is that much, so a
    block plus |q|^2 never exceeds the squared distance, and lies below it by at most twice the slack.

    Attributes:
        queries: (N, D) as given.
        pool: (M, D) as given.
        left: (N, D + 2) float32: -2 q, 1, -2 slack |q|.
        right: (M, D + 2) float32: p, (1 - slack) |p|^2, |p|.
        query_square: (N,) |q|^2.
        query_norm: (N,) |q|.
        pool_norm: (M,) |p|.
        scale: Distances are measured in it.
        slack: The bound on the relative error of the product.
        rounding: The bound on the relative error of |q|^2 and of exact squares, in float64.
    """

    queries: Floats
    pool: Floats
    left: Singles
    right: Singles
    query_square: Floats
    query_norm: Floats
    pool_norm: Floats
    scale: float
    slack: float
    rounding: float

    @classmethod
    def of(cls, queries: Floats, pool: Floats) -> SquaredDistances:
        """Prepare the products of two sets of rows."""
        same_dimension(queries, pool)
        dimension = queries.shape[1]
        centre = pool.mean(axis=0) if len(pool) else np.zeros(dimension)
        largest = max(largest_deviation(rows, centre) for rows in (queries, pool))
        scale = largest * math.sqrt(dimension) if largest > 0 else 1.0  # squared norms stay below 1
        terms = min(dimension, PIECE) + 2 + math.ceil(dimension / PIECE)
        slack = 1.01 * (terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF) + 6 * UNIT_ROUNDOFF)
        rounding = (dimension + 4) * 2.0**-52
        left, query_norm = _widened(queries, centre, scale)
        right, pool_norm = (left.copy(), query_norm) if queries is pool else _widened(pool, centre, scale)
        left[:, :-2] *= -2
        left[:, -2], left[:, -1] = 1, -2 * slack * query_norm
        right[:, -2], right[:, -1] = (1 - slack) * np.square(pool_norm) - TINY, pool_norm
        return cls(queries, pool, left, right, np.square(query_norm), query_norm, pool_norm, scale, slack, rounding)

    def block(self, rows: slice, columns: slice) -> Singles:
        """Lower bounds of squared distances less |q|^2, (rows, columns) float32, in units of scale^2."""
        left, right = self.left[rows], self.right[columns]
        product = np.empty((len(left), len(right)), dtype=np.float32)

        def multiply(strip: slice) -> None:
            start = max(0, left.shape[1] - 2 - PIECE)  # the last piece has the two more columns
            np.matmul(left[strip, start:], right[:, start:].T, out=product[strip])
            for end in range(start, 0, -PIECE):
                piece = slice(max(0, end - PIECE), end)
                product[strip] += left[strip, piece] @ right[:, piece].T

        parts = strips(product)
        if min(workers(), len(parts)) < 2:
            multiply(slice(None))
        else:
            # OpenBLAS's own threads keep turning for a while after each product, in the way of ours
            with _libraries().limit(limits=1, user_api="blas"):
                in_threads(multiply, parts)
        return product

    def limits(self, rows: slice, squares: Floats) -> Singles:
        """What a block's rows are compared with to be compared with squared distances, rounded up."""
        square = self.query_square[rows]
        return np.minimum(rounded_up(squares - square * (1 - self.rounding)), LARGEST)

    def bounds(self, rows: Integers, columns: Integers, values: Singles) -> tuple[Floats, Floats]:
        """Lower and upper bounds of the squared distances of single pairs, from their values in a block."""
        square, norm = self.query_square[rows], self.pool_norm[columns]
        low = values + square * (1 - self.rounding)
        gap = 2 * self.slack * norm * (norm + 2 * self.query_norm[rows]) + 2 * self.rounding * square + 2 * TINY
        return low, low + gap

    def exact(self, rows: Integers, columns: Integers) -> Floats:
        """Squared distances of single pairs as given, not scaled: in float64 by difference."""
        return squared_distances(self.queries, self.pool, rows, columns)

    def completed(self, block: Singles, rows: slice) -> Singles:
        """Add |q|^2 to a block, in place: what is compared with squared distances themselves."""
        square = rounded_down(self.query_square[rows])[:, None]

        def add(strip: slice) -> None:
            block[strip] += square[strip]

        in_threads(add, strips(block))
        return block

    def completed_bounds(self, rows: Integers, columns: Integers, values: Singles) -> tuple[Floats, Floats]:
        """Lower and upper bounds as of :meth:`bounds`, from the values of a completed block."""
        rounding = 2 * UNIT_ROUNDOFF * np.abs(values.astype(np.float64))
        norm, square = self.pool_norm[columns], self.query_square[rows]
        gap = 2 * self.slack * norm * (norm + 2 * self.query_norm[rows]) + 4 * UNIT_ROUNDOFF * square + 2 * TINY
        return values - rounding, values + rounding + gap


def squared_distances(first: Floats, second: Floats, rows: Integers, columns: Integers) -> Floats:
    """Squared distances of single pairs of rows, by difference, a few at a time.

    >>> squared_distances(np.array([[0.0], [1.0]]), np.array([[4.0]]), np.array([0, 1]), np.array([0, 0])).tolist()
    [16.0, 9.0]
    """
    squares = np.empty(len(rows))

    def difference(part: slice) -> None:
        apart = first[rows[part]] - second[columns[part]]
        squares[part] = np.einsum("ij,ij->i", apart, apart)

    in_threads(difference, list(blocks(len(rows), _step(first))))
    return squares


def largest_deviation(rows: Floats, centre: Floats) -> float:
    """The largest absolute difference from a centre in any dimension; 0 for no rows.

    >>> largest_deviation(np.array([[1.0, 5.0], [-3.0, 2.0]]), np.array([0.0, 3.0]))
    3.0
    """
    return float(max((rows.max(axis=0) - centre).max(), (centre - rows.min(axis=0)).max())) if len(rows) else 0.0


def root_mean_square(rows: Floats) -> float:
    """Root mean square distance of (N, D) rows from their mean, N >= 1.

    >>> root_mean_square(np.array([[0.0, 0.0], [6.0, 8.0]]))
    5.0
    """
    centre = rows.mean(axis=0)
    parts = (rows[part] - centre for part in blocks(len(rows), _step(rows)))
    return math.sqrt(math.fsum(float(np.einsum("ij,ij->", part, part)) for part in parts) / len(rows))


def _step(rows: Floats) -> int:
    """Rows whose differences are held at once."""
    return max(1, CHUNK // int(rows.shape[1]))


def _widened(rows: Floats, centre: Floats, scale: float) -> tuple[Singles, Floats]:
    """The rows centred and scaled, (N, D + 2) float32 with two columns left free, and their norms."""
    wide = np.empty((len(rows), rows.shape[1] + 2), dtype=np.float32)
    norm = np.empty(len(rows))
    for part in blocks(len(rows), _step(rows)):
        centred = (rows[part] - centre) / scale
        norm[part] = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        wide[part, :-2] = centred
    return wide, norm


def rounded_up(values: Floats) -> Singles:
    """Rounded up to float32."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def rounded_down(values: Floats) -> Singles:
    """Rounded down to float32."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def below(values: Singles, threshold: Singles) -> tuple[Integers, Integers]:
    """Row and column, in that order, of the values that do not exceed a threshold, in strips that stay in the cache.

    Args:
        values: (A, B).
        threshold: (A, 1) or (B,).

    >>> below(np.array([[1, 5], [2, 0]], dtype=np.float32), np.array([2, 1], dtype=np.float32))
    (array([0, 1, 1]), array([0, 0, 1]))
    """
    width = max(1, values.shape[1])

    def places(strip: slice) -> Integers:
        limit = threshold[strip] if threshold.ndim == 2 else threshold
        place: Integers = np.flatnonzero(values[strip] <= limit) + strip.start * width
        return place

    row, column = np.divmod(np.concatenate([np.empty(0, dtype=np.int64), *in_threads(places, strips(values))]), width)
    return row, column


def strips(values: Singles) -> list[slice]:
    """A block's rows in parts whose pairs stay in the cache."""
    return list(blocks(len(values), max(1, STRIP // max(1, values.shape[1]))))


def in_threads(function: Callable[[slice], T], parts: list[slice]) -> list[T]:
    """A function of each part, by several threads where there are several parts."""
    count = min(workers(), len(parts))
    if count < 2:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, parts))


def blocks(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` that make up ``range(count)``.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
