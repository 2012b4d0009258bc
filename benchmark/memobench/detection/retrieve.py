"""Retrieval: the few real images that each query may be a copy of, each with its pose.

Every query is compared with every real image in every pose of two grids: a coarse one that turns, zooms, shifts and
mirrors, and a finer one of images as they stand. What the coarse one finds is registered at half resolution, and the
best are kept, to be registered at full resolution too. The finer one is for blends and pasted parts, which do not move,
and whose registration is misled by the other patient's image that is mixed in: a blend laid a pixel off has lost its
fine detail. What the finer one finds is therefore judged where it was found, and also registered. None of it needs
training, so it treats all images in the same way. Where the pool is large, the coarse grid is searched only among the
embedding's nearest neighbours, and of the finer one only the images as they stand and mirrored remain, for the whole
pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from memobench.base.progress import silent
from memobench.detection.register import CoarseSearch, SearchGrid, band, refine, shrink

# real images per query, by dimension:
COARSE = {2: 16, 3: 6}  # that the coarse grid gives,
MOVED = {2: 2, 3: 2}  # that are kept of them after registration at half resolution,
UNMOVED = {2: 2, 3: 1}  # and that the finer grid gives
HALF_STEPS = 8
FULL_STEPS = {2: 5, 3: 3}
PIXELS = 1 << 19  # held at once while pairs are registered
PAIRS = 1 << 21  # whose correlations are held at once
AT_ONCE = 256  # images that are filtered at once: a small block stays in the processor's cache


@dataclass(frozen=True)
class Candidates:
    """Pairs to be verified.

    Attributes:
        rows: (P,) the query of each pair.
        columns: (P,) the real image of each pair; a pair may come twice, with two poses.
        poses: (P, dim, dim + 1) from places in the query to places in the real image.
        settled: (P,) True where the pose is to be taken as it is.
    """

    rows: Tensor
    columns: Tensor
    poses: Tensor
    settled: Tensor


class Prepared:
    """Images with what of them is compared, made where it is asked for and once: a pool serves many queries.

    Args:
        images: (N, 1, *S) in [0, 1].
        made: What the search of some grids compares, where it was made before.
    """

    def __init__(self, images: Tensor, made: Mapping[SearchGrid, Tensor] | None = None) -> None:
        self.images = images
        self._coarse: dict[SearchGrid, Tensor] = dict(made or {})
        self._making = Lock()  # a pool serves several threads
        side = max(images.shape[2:])
        # the bands that are registered at half and at full resolution
        self.half = _Made(images, lambda some: band(shrink(some, side // 2), 0.7, side / 12))
        self.full = _Made(images, lambda some: band(some, side / 64, side / 8))

    def coarse(self, search: CoarseSearch) -> Tensor:
        """(N, 1, *C): the images as the search of a grid compares them."""
        with self._making:
            if search.grid not in self._coarse:
                blocks = [search.prepare(some) for some in torch.split(self.images, AT_ONCE)]
                self._coarse[search.grid] = torch.cat(blocks) if blocks else search.prepare(self.images)
            return self._coarse[search.grid]

    def made(self) -> dict[SearchGrid, Tensor]:
        """What the searches of grids compare, as far as it has been made."""
        return dict(self._coarse)


class _Made:
    """Something made of images, row by row as it is needed."""

    def __init__(self, images: Tensor, make: Callable[[Tensor], Tensor]) -> None:
        self.images = images
        self.make = make
        self.done = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.made = torch.empty(0)
        self._making = Lock()

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(P,) rows to (P, 1, *M)."""
        with self._making:
            for new in torch.unique(rows[~self.done[rows]]).split(AT_ONCE):
                values = self.make(self.images[new])
                if not len(self.made):
                    self.made = values.new_empty((len(self.images), *values.shape[1:]))
                self.made[new] = values
                self.done[new] = True
        return self.made[rows]


class PreparedSome:
    """Some of the images that were prepared together: nothing is held or made twice.

    Args:
        whole: All of them.
        which: (N,) which.
    """

    def __init__(self, whole: Prepared, which: Tensor) -> None:
        self.whole = whole
        self.which = which
        self.images, self.half, self.full = (_Some(one, which) for one in (whole.images, whole.half, whole.full))

    def coarse(self, search: CoarseSearch) -> _Some:
        """(N, 1, *C): the images as the search of a grid compares them."""
        return _Some(self.whole.coarse(search), self.which)


class _Some:
    """Rows of something made of more images."""

    def __init__(self, whole: Tensor | _Made, which: Tensor) -> None:
        self.whole = whole
        self.which = which

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        return self.whole[self.which[rows]]


def grids(dim: int, *, large: bool) -> tuple[SearchGrid, SearchGrid]:
    """The coarse grid, and the finer one of images as they stand: the still one where the pool is large."""
    return SearchGrid.of(dim), SearchGrid.still(dim) if large else SearchGrid.unmoved(dim)


def candidates(
    queries: Prepared,
    real: Prepared | PreparedSome,
    *,
    allowed: Tensor | None = None,
    near: Tensor | None = None,
    least: int = 1,
    track: Callable[..., Iterator[Any]] = silent,
) -> Candidates:
    """The real images that resemble each query most in some pose.

    Args:
        queries: N images.
        real: M images.
        allowed: (N, M) which pairs may be compared; None for all.
        near: (N, K) the real images among which the coarse grid is searched; None for all.
        least: Different real images per query that are kept at least, where so many are allowed.
        track: Shows progress.
    """
    dim = queries.images.ndim - 2
    turned, fine = grids(dim, large=near is not None)
    coarse = _searched(turned, max(COARSE[dim], least), queries, real, allowed, near, track)
    moved = narrow(queries, real, coarse, max(MOVED[dim], least), track=track)
    unmoved = _searched(fine, UNMOVED[dim], queries, real, allowed, None, track)
    as_found = replace(unmoved, settled=torch.ones_like(unmoved.settled))
    return _joined([moved, unmoved, as_found])


def _joined(parts: list[Candidates]) -> Candidates:
    """The pairs of several findings, one after the other."""
    return Candidates(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Candidates)))


def _searched(  # noqa: PLR0913  the data of a search
    grid: SearchGrid,
    wanted: int,
    queries: Prepared,
    real: Prepared | PreparedSome,
    allowed: Tensor | None,
    near: Tensor | None,
    track: Callable[..., Iterator[Any]],
) -> Candidates:
    """The real images that agree best with each query in some pose of a grid, in their best pose."""
    search = CoarseSearch(queries.images.shape[2:], grid, queries.images.device)
    asked, pool = queries.coarse(search), real.coarse(search)
    if near is not None:  # few pairs: at once, so that each image's poses are made once
        scores, numbers = search.scores(asked, pool[slice(None)], near, track)
        met = near if allowed is None else near.masked_fill(~allowed.gather(1, near), -1)
        found = _strongest(scores, numbers, met, wanted)
    else:  # the pool in pieces, of which the strongest are kept
        step = max(1, PAIRS // max(1, len(asked)))
        nothing = torch.zeros((len(asked), 0), dtype=torch.long, device=asked.device)
        found = (nothing.float(), nothing, nothing.int())
        for start in range(0, len(pool), step):
            scores, numbers = search.scores(asked, pool[start : start + step], None, track)
            met = torch.arange(start, start + scores.shape[1], device=scores.device).expand(len(asked), -1)
            if allowed is not None:
                met = met.masked_fill(~allowed[:, start : start + step], -1)
            found = _stronger(found, _strongest(scores, numbers, met, wanted), wanted)
    value, columns, numbers = found
    rows, rank = torch.nonzero(value > -torch.inf, as_tuple=True)
    poses = search.pose(numbers[rows, rank].long())
    return Candidates(rows, columns[rows, rank], poses, torch.zeros_like(rows, dtype=torch.bool))


Found = tuple[Tensor, Tensor, Tensor]  # (N, k) each: scores, strongest first, columns and pose numbers


def _strongest(scores: Tensor, numbers: Tensor, met: Tensor, wanted: int) -> Found:
    """The strongest of (N, K, 2) scores and pose numbers, plain or mirrored, with (N, K) columns; -1 may not be met."""
    best, side = scores.max(dim=2)
    value, place = best.masked_fill(met < 0, -torch.inf).topk(min(wanted, best.shape[1]), dim=1)
    chosen = numbers.gather(2, side[..., None])[..., 0]
    return value, met.gather(1, place), chosen.gather(1, place)


def _stronger(first: Found, second: Found, wanted: int) -> Found:
    """The strongest of two findings together."""
    value, column, number = (torch.cat(pair, dim=1) for pair in zip(first, second, strict=True))
    value, place = value.topk(min(wanted, value.shape[1]), dim=1)
    return value, column.gather(1, place), number.gather(1, place)


def narrow(
    queries: Prepared,
    real: Prepared | PreparedSome,
    found: Candidates,
    keep: int,
    *,
    track: Callable[..., Iterator[Any]] = silent,
) -> Candidates:
    """Register at half resolution, and keep of each query's candidates those that agree best, with their new poses.

    Args:
        queries: N images.
        real: M images.
        found: Pairs, the rows ascending.
        keep: How many of each query's.
        track: Shows progress.
    """
    poses, agreement = torch.empty_like(found.poses), torch.empty(len(found.rows), device=found.poses.device)
    pixels = queries.images[0].numel() // 2 ** (queries.images.ndim - 2)
    for part in track(_blocks(len(found.rows), pixels), "registering at half resolution"):
        pair = queries.half[found.rows[part]], real.half[found.columns[part]]
        poses[part], agreement[part] = refine(*pair, found.poses[part], HALF_STEPS)
    order = torch.argsort(agreement, descending=True, stable=True)
    order = order[torch.argsort(found.rows[order], stable=True)]  # by query, the best first
    rows = found.rows[order]
    order = order[torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows) < keep]
    return Candidates(found.rows[order], found.columns[order], poses[order], found.settled[order])


def register(
    queries: Prepared, real: Prepared | PreparedSome, found: Candidates, *, track: Callable[..., Iterator[Any]] = silent
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Register each candidate to its query at full resolution, unless its pose is settled.

    Yields:
        For a block of pairs: which pairs, their queries (B, 1, *S), their real images and the poses (B, dim, dim + 1).
    """
    steps = FULL_STEPS[queries.images.ndim - 2]
    for part in track(_blocks(len(found.rows), queries.images[0].numel()), "registering"):
        rows, columns, pose = found.rows[part], found.columns[part], found.poses[part].clone()
        if (free := ~found.settled[part]).any():
            pose[free], _ = refine(queries.full[rows[free]], real.full[columns[free]], pose[free], steps)
        yield part, queries.images[rows], real.images[columns], pose


def _blocks(pairs: int, pixels: int) -> list[slice]:
    """Slices of pairs whose images are held at once."""
    block = max(8, PIXELS // pixels)
    return [slice(start, start + block) for start in range(0, pairs, block)]
