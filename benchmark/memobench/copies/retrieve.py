"""Retrieval: the few real images that each query may be a copy of, each with a first pose.

Every query is compared with every real image in every pose of two grids: a coarse one that turns, zooms, shifts and
mirrors, and a finer one of images as they stand. Both need no training, so they treat all images alike. Where the pool
is large, the embedding's nearest neighbours are all that is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memobench.copies.register import CoarseSearch, SearchGrid, band, refine, shrink
from memobench.generator import silent

COARSE = 6  # candidates per query of the coarse grid
UNMOVED = 3  # and of the finer one
PIXELS = 1 << 19  # held at once while pairs are registered


@dataclass(frozen=True)
class Candidates:
    """Pairs to be verified.

    Attributes:
        rows: (P,) the query of each pair.
        columns: (P,) the real image of each pair; a pair may come twice, with two poses.
        poses: (P, dim, dim + 1) from places in the query to places in the real image.
    """

    rows: Tensor
    columns: Tensor
    poses: Tensor


def candidates(
    queries: Tensor,
    real: Tensor,
    *,
    allowed: Tensor | None = None,
    least: int = 1,
    track: Callable[..., Iterator[Any]] = silent,
) -> Candidates:
    """The real images that resemble each query most in some pose.

    Args:
        queries: (N, 1, *S) in [0, 1].
        real: (M, 1, *S) in [0, 1].
        allowed: (N, M) which pairs may be compared; None for all.
        least: Candidates per query that the coarse grid gives at least, where so many are allowed.
        track: Shows progress.
    """
    parts = []
    shape, device = queries.shape[2:], queries.device
    dim = len(shape)
    for grid, wanted in ((SearchGrid.of(dim), max(COARSE, least)), (SearchGrid.unmoved(dim), UNMOVED)):
        search = CoarseSearch(shape, grid, device)
        scores, numbers = search.scores(search.prepare(queries), search.prepare(real), allowed, track)
        best, side = scores.max(dim=2)  # plain or mirrored
        if allowed is not None:
            best = best.masked_fill(~allowed, -torch.inf)
        value, column = best.topk(min(wanted, best.shape[1]), dim=1)
        rows, place = torch.nonzero(value > -torch.inf, as_tuple=True)
        columns = column[rows, place]
        parts.append((rows, columns, search.pose(numbers[rows, columns, side[rows, columns]])))
    return Candidates(*(torch.cat(part) for part in zip(*parts, strict=True)))


def register(
    queries: Tensor, real: Tensor, found: Candidates, *, track: Callable[..., Iterator[Any]] = silent
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Register each candidate to its query, at half and at full resolution.

    Yields:
        For a block of pairs: which pairs, their queries (B, 1, *S), their real images and the poses (B, dim, dim + 1).
    """
    side = max(queries.shape[2:])
    half = [band(shrink(images, side // 2), 0.7, side / 12) for images in (queries, real)]
    full = [band(images, side / 64, side / 8) for images in (queries, real)]
    block = max(8, PIXELS // queries[0].numel())
    for start in track(range(0, len(found.rows), block), "registering"):
        part = slice(start, start + block)
        rows, columns = found.rows[part], found.columns[part]
        pose, _ = refine(half[0][rows], half[1][columns], found.poses[part], steps=8)
        pose, _ = refine(full[0][rows], full[1][columns], pose, steps=5 if queries.ndim == 4 else 3)
        yield part, queries[rows], real[columns], pose
