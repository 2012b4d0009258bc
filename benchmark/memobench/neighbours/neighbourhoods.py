"""How two sets lie in each other's neighbourhoods: one pass over each pair of sets, for every measure that asks.

Precision, recall, density, coverage and authenticity all compare distances between the sets with distances within
them. Here real with real, generated with generated and real with generated are multiplied once each, and within a set
each pair once.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    root_mean_square,
    rounded_up,
    same_dimension,
)
from memobench.neighbours.nearest import Search, distinct, nearest

TIE = 1e-9  # squared distances that differ by less, relatively, are equal: they differ by rounding alone
SAME = 1e-5  # of the real images' root mean square distance from their mean: rows closer than that are one point


@dataclass(frozen=True)
class Neighbourhoods:
    """What each of M real and N generated images has around it.

    Images of one set that are one point count once, and each gets the values of its point (:func:`neighbourhoods`).

    Attributes:
        real_distances: (M, R) distances of each real image to its R = min(k, points - 1) nearest other real points,
            ascending; one column of zeros for a lone point.
        fake_distances: (N, F) the same among generated images.
        nearest_distance: (N,) distance of each generated image to the nearest real one.
        nearest_index: (N,) which that is: the first of its point.
        real_balls: (N,) real points in whose ball each generated image lies.
        fakes_held: (M,) generated points that the ball around each real image holds.
        fake_balls: (M,) generated points in whose ball each real image lies.
    """

    real_distances: Floats
    fake_distances: Floats
    nearest_distance: Floats
    nearest_index: Integers
    real_balls: Integers
    fakes_held: Integers
    fake_balls: Integers


def neighbourhoods(real: ArrayLike, fake: ArrayLike, k: int = 5, *, block: int = BLOCK) -> Neighbourhoods:
    """Neighbourhoods of real and generated images in each other's sets.

    The ball of an image reaches to its k-th nearest other image of the same set, and is open: its surface is outside.
    That alone makes nonsense of duplicates: with every real image there ten times over, every radius is 0. So images
    of one set that are one point (closer than 1e-5 of the spread of the real images, as one image is to itself in
    another batch) count once, and each duplicate then gets the value of its point: repeating all images changes
    nothing. A point that coincides with the centre of a ball is inside whatever the radius. Where fewer than k other
    points exist, the ball reaches to the farthest of them; a lone point's ball holds that point alone.

    Time is O((M + N)^2 D), memory O((M + N) D + block^2).

    Args:
        real: (M, D) features of real images, M >= 1.
        fake: (N, D) features of generated images, N >= 1.
        k: Neighbours that set the radius of a ball.
        block: Rows per block.

    Raises:
        DataError: An empty set, dimensions that differ, NaN or infinite values.

    >>> found = neighbourhoods([[0.0], [1.0], [5.0]], [[0.5], [9.0]], 1)
    >>> found.real_distances.ravel().tolist(), found.nearest_distance.tolist(), found.nearest_index.tolist()
    ([1.0, 1.0, 4.0], [0.5, 4.0], [0, 2])
    >>> found.real_balls.tolist(), found.fakes_held.tolist(), found.fake_balls.tolist()
    ([2, 0], [1, 1, 0], [1, 2, 2])
    """
    reals, fakes = as_points(real, "features of real images"), as_points(fake, "features of generated images")
    same_dimension(reals, fakes)
    if not len(reals) or not len(fakes):
        raise DataError(f"{len(reals)} real and {len(fakes)} generated images; give some of both")
    same = SAME * root_mean_square(reals)
    real_chosen, real_inverse = distinct(reals, same=same)
    fake_chosen, fake_inverse = distinct(fakes, same=same)
    reals = reals if len(real_chosen) == len(reals) else reals[real_chosen]
    fakes = fakes if len(fake_chosen) == len(fakes) else fakes[fake_chosen]
    real_distances, fake_distances = (_around(points, k, block) for points in (reals, fakes))
    found = between(
        fakes,
        reals,
        query_radii=fake_distances[:, -1],
        pool_radii=real_distances[:, -1],
        same=same,
        block=block,
    )
    return Neighbourhoods(
        real_distances=real_distances[real_inverse],
        fake_distances=fake_distances[fake_inverse],
        nearest_distance=found.nearest_distance[fake_inverse],
        nearest_index=real_chosen[found.nearest_index][fake_inverse],
        real_balls=found.pool_balls[fake_inverse],
        fakes_held=found.queries_held[real_inverse],
        fake_balls=found.query_balls[real_inverse],
    )


def _around(points: Floats, k: int, block: int) -> Floats:
    """(U, min(k, U - 1)) distances to the nearest other points; a column of zeros for a lone point."""
    reach = min(k, len(points) - 1)
    return nearest(points, points, k=reach, exclude_self=True, block=block)[0] if reach else np.zeros((len(points), 1))


@dataclass(frozen=True)
class Between:
    """How the rows of two sets lie to each other.

    Attributes:
        nearest_distance: (N,) distance of each query to the nearest pool row.
        nearest_index: (N,) which that is, the lower index where several are.
        pool_balls: (N,) balls around pool rows that hold each query.
        queries_held: (M,) queries that the ball around each pool row holds.
        query_balls: (M,) balls around queries that hold each pool row.
    """

    nearest_distance: Floats
    nearest_index: Integers
    pool_balls: Integers
    queries_held: Integers
    query_balls: Integers


def between(
    queries: ArrayLike,
    pool: ArrayLike,
    *,
    query_radii: Floats,
    pool_radii: Floats,
    same: float = 0.0,
    block: int = BLOCK,
) -> Between:
    """Find, in one pass over all pairs, who is nearest and who lies in whose ball.

    A ball is open: its surface is outside, where surface means equal to the radius but for rounding (a relative 1e-9
    of the square). A point at a distance of at most ``same`` from the centre is inside whatever the radius.

    Args:
        queries: (N, D) rows.
        pool: (M, D) rows, M >= 1.
        query_radii: (N,) radius of the ball around each query.
        pool_radii: (M,) radius of the ball around each pool row.
        same: The distance up to which two rows are one point.
        block: Rows per block.

    >>> found = between([[0.0], [3.0]], [[1.0]], query_radii=np.array([2.0, 2.0]), pool_radii=np.array([1.5]))
    >>> found.pool_balls.tolist(), found.queries_held.tolist(), found.query_balls.tolist()
    ([1, 0], [1], [1])
    >>> found.nearest_distance.tolist()
    [1.0, 2.0]
    """
    rows, others = as_points(queries, "queries"), as_points(pool, "pool rows")
    count, size = len(rows), len(others)
    bounds = SquaredDistances.of(rows, others)
    search = Search(bounds, 1)
    row_limit, column_limit = _limits(query_radii, same), _limits(pool_radii, same)
    nearest_square, nearest_index = np.empty(count), np.empty(count, dtype=np.int64)
    pool_balls, queries_held, query_balls = (np.zeros(number, dtype=np.int64) for number in (count, size, size))
    for part in blocks(count, block):
        for columns in blocks(size, block):
            values = bounds.block(part, columns)
            search.take(values, part, columns)
            threshold = bounds.limits(part, row_limit[part] / bounds.scale**2)[:, None]
            _, held = _inside(bounds, values, threshold, part, columns, row_limit, in_rows=True)
            query_balls += np.bincount(held, minlength=size)
            values = bounds.completed(values, part)
            threshold = np.minimum(rounded_up(column_limit[columns] / bounds.scale**2), LARGEST)
            holding, held = _inside(bounds, values, threshold, part, columns, column_limit, in_rows=False)
            pool_balls += np.bincount(holding, minlength=count)
            queries_held += np.bincount(held, minlength=size)
        _, nearest_index[part], nearest_square[part] = search.finish(part)
    return Between(np.sqrt(nearest_square), nearest_index, pool_balls, queries_held, query_balls)


def _limits(radii: Floats, same: float) -> Floats:
    """The square that a squared distance must stay below to be inside."""
    return np.maximum(np.square(radii) * (1 - TIE), np.nextafter(same * same, np.inf))


def _inside(  # noqa: PLR0913  a block of a matrix, and its limits
    bounds: SquaredDistances,
    values: Singles,
    threshold: Singles,
    rows: slice,
    columns: slice,
    limit: Floats,
    *,
    in_rows: bool,
) -> tuple[Integers, Integers]:
    """Row and column of the pairs of a block whose squared distance is below the limit of its row or column."""
    row, column = below(values, threshold)
    value = values[row, column]
    row, column = row + rows.start, column + columns.start
    reach = limit[row if in_rows else column]
    high = (bounds.bounds if in_rows else bounds.completed_bounds)(row, column, value)[1]
    inside: NDArray[np.bool_] = high * bounds.scale**2 < reach
    doubtful = np.flatnonzero(~inside)
    inside[doubtful] = bounds.exact(row[doubtful], column[doubtful]) < reach[doubtful]
    return row[inside], column[inside]
