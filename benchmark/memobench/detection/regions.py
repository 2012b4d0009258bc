"""Regions: which part of a real image a part of a query repeats, and where.

A window of anatomy resembles the same window of many patients, so how well it agrees with its best patient says little.
What tells a copy is by how much it agrees better with that patient than with any other: the ratio test of Lowe (2004,
doi 10.1023/B:VISI.0000029664.99615.94), here as a difference. Each cell votes for each real image by that difference,
kept within limits so that no cell decides alone, and the contiguous box of cells with the most votes is the region.

1. **Search.** All cells of a query with all real images (:mod:`memobench.detection.cells`), and the votes of boxes.
2. **Register.** The few strongest images are laid over the query where their box lies, by a similarity transform, and
   then followed locally (:mod:`memobench.detection.follow`), for copies that were deformed.
3. **Vote again.** A registered image agrees with a copied region still better, and with a stranger hardly; the votes of
   the best box after registration are the score, those of a followed image less what strangers gain by the freedom.

All real images stand in one pool, blind to who is a member. A real image of a new patient goes through the same steps,
its own patient left out, so that its scores are the null of all these choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memobench.base.progress import Track, silent
from memobench.detection.cells import NOTHING, Grid, best_boxes, best_sums, cell_agreement, moved_cells
from memobench.detection.follow import follow
from memobench.detection.register import grid_sample, places, refine, seen_through
from memobench.detection.sharpness import blurred

VOTES = (-0.1, 0.15)  # limits of what a cell votes by after registration,
SEARCHED = (-0.05, 0.1)  # and in the search
CANDIDATES = 3  # images that are registered
LEAST_PATCH = 3 / 8  # of the longest side: what is registered at least
LEAD = 1.04  # what agreement after registration counts: so much as with the best of all others speaks for the image
STEPS = 6  # of the registration
FREEDOM = 0.4  # votes by which an image that was followed locally must be better: strangers gain nearly as much by it
BLOCK = 1 << 22  # cell agreements that are held at once


@dataclass(frozen=True)
class RegionPool:
    """Real images ready to be searched.

    Attributes:
        grid: How they are cut.
        banded: (M, *shape) as they are compared.
        owners: (M,) number of each image's patient; images that are near-identical may share one.
        blur: Of the queries that it is for (:mod:`memobench.detection.sharpness`); the real images were blurred so.
    """

    grid: Grid
    banded: Tensor
    owners: Tensor
    blur: float = 0.0


@dataclass(frozen=True)
class Found:
    """The candidates of N queries, in no order.

    Attributes:
        score: (N, K) votes of the best region.
        index: (N, K) rows of the pool.
        box: (N, K, dim, 2) first and one past the last pixel of the region in the query.
        source: (N, K, dim, 2) likewise in the real image.
    """

    score: NDArray[np.float32]
    index: NDArray[np.int64]
    box: NDArray[np.int64]
    source: NDArray[np.int64]

    def of_side(self, side: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(N,) the strongest candidate among some images of the pool, and its column; -inf where there is none.

        Args:
            side: (M,) which images.
        """
        score = np.where(side[self.index], self.score, -np.inf).astype(np.float32)
        column = score.argmax(axis=1)
        return np.take_along_axis(score, column[:, None], axis=1)[:, 0], column


def region_pool(
    pixels: NDArray[np.float32], owners: NDArray[np.int64], *, blur: float = 0.0, device: str = "cpu"
) -> RegionPool:
    """Prepare real images.

    Args:
        pixels: (M, *S) in [0, 1].
        owners: (M,) number of each image's patient.
        blur: Of the queries that will be asked; the real images are blurred as much.
        device: A torch device.
    """
    grid = Grid.of(pixels.shape[1:])
    soft = blurred(pixels, blur)
    return RegionPool(grid, _banded(grid, soft, device, blur), torch.from_numpy(owners).to(device), blur)


@torch.no_grad()
def find_regions(
    queries: NDArray[np.float32],
    pool: RegionPool,
    *,
    owners: NDArray[np.int64] | None = None,
    track: Track = silent,
) -> Found:
    """The regions that queries repeat of real images.

    Args:
        queries: (N, *S) in [0, 1].
        pool: Real images of at least two patients other than each query's own.
        owners: (N,) the patients of real queries, by the numbers of the pool, who are left out; None for synthetic
            images.
        track: Shows progress.
    """
    step = max(1, BLOCK // max(1, len(pool.banded) * int(np.prod(pool.grid.counts))))
    parts = []
    for start in track(range(0, len(queries), step), "searching regions"):
        own = None if owners is None else torch.from_numpy(owners[start : start + step]).to(pool.owners.device)
        asked = _banded(pool.grid, queries[start : start + step], str(pool.banded.device), pool.blur)
        parts.append(_search(asked, pool, own))
    names = ("score", "index", "box", "source")
    score, index, box, source = (np.concatenate([part[k] for part in parts]) for k in range(len(names)))
    return Found(score.astype(np.float32), index, _pixels(box, pool.grid), _pixels(source, pool.grid))


def _search(queries: Tensor, pool: RegionPool, own: Tensor | None) -> tuple[NDArray[np.generic], ...]:
    grid = pool.grid
    agreements = cell_agreement(grid, queries, pool.banded)
    passed = None if own is None else own[:, None] == pool.owners[None]
    if passed is not None:
        for agreement in agreements:
            agreement[:, passed] = NOTHING
    rivals = [_rivals(agreement, pool.owners) for agreement in agreements]
    windows = [count - 1 if count > 1 else 1 for count in grid.counts]
    strength = torch.zeros(len(queries), len(pool.banded), device=queries.device)
    for agreement, rival, counts in zip(agreements, rivals, (grid.counts, windows), strict=True):
        votes = (agreement - _rival_of(rival, pool.owners)).clamp(*SEARCHED)
        strength = strength + best_sums(votes, counts)
    if passed is not None:
        strength = strength.masked_fill(passed, -torch.inf)
    index = strength.topk(min(CANDIDATES, len(pool.banded)), dim=1).indices  # (B, K)
    rows = torch.arange(len(queries), device=index.device)[:, None].expand_as(index).flatten()
    columns = index.flatten()
    rival_cells, rival_windows = (_rival_at(rival, pool.owners, rows, columns) for rival in rivals)
    _, box = best_boxes((agreements[1][:, rows, columns] - rival_windows).clamp(*SEARCHED), windows)
    box[..., 1] += torch.tensor(grid.counts, device=box.device) - torch.tensor(windows, device=box.device)
    poses = _registered(grid, queries[rows], pool.banded[columns], box * grid.cell)
    laid = _laid(grid, pool.banded[columns], poses)
    ways = (laid, follow(queries[rows], laid, grid.cell))
    cast = [torch.full((*grid.overlapping, len(rows)), VOTES[0], device=queries.device) for _ in ways]
    for offset in grid.offsets():
        theirs = rival_cells
        if any(offset):
            moved = moved_cells(grid, queries, pool.banded, offset)
            if passed is not None:
                moved[:, passed] = NOTHING
            theirs = _rival_at(_rivals(moved, pool.owners), pool.owners, rows, columns)
        own, edges = grid.cut(queries[rows], offset), grid.straight(queries, offset)[:, rows]
        for way, votes_of_way in zip(ways, cast, strict=True):
            value = (LEAD * (own * grid.cut(way, offset)).sum(dim=2) - theirs).clamp(*VOTES)
            value = torch.where(edges, value.clamp(max=0.0), value)
            _place(votes_of_way, value.reshape(*grid.counts, -1), offset)
    score, region = _better_way(*(best_boxes(one.flatten(0, len(grid.shape) - 1), grid.overlapping) for one in cast))
    region = region * grid.step
    region[..., 1] += grid.cell - grid.step
    ends = region.minimum(torch.tensor(grid.shape, device=region.device)[:, None])
    source = _seen_box(grid, ends, poses)
    shape = (len(queries), -1)
    return tuple(
        one.reshape(*shape, *one.shape[1:]).cpu().numpy() for one in (score, columns.to(torch.int64), ends, source)
    )


def _better_way(still: tuple[Tensor, Tensor], followed: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """(P,) the better score and its box: as a similarity lays an image, or followed locally, which must be worth it."""
    score = followed[0] - FREEDOM
    better = score > still[0]
    return torch.where(better, score, still[0]), torch.where(better[:, None, None], followed[1], still[1])


def _place(votes: Tensor, values: Tensor, offset: Sequence[int]) -> None:
    """Put the votes of one grid into those of all; a moved grid's last cells, which lie half outside, are left out."""
    if votes.shape == values.shape:
        votes.copy_(values)
        return
    kept = tuple(slice(0, side - half) for side, half in zip(values.shape[:-1], offset, strict=True))
    votes[tuple(slice(half, None, 2) for half in offset)] = values[kept]


def _rivals(agreement: Tensor, owners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(C, B) each: the best agreement, whose it is, and the best of any other patient."""
    best, place = agreement.max(dim=2)
    owner = owners[place]
    others = agreement.masked_fill(owners == owner[:, :, None], NOTHING).max(dim=2).values
    return best, owner, others


def _rival_of(rivals: tuple[Tensor, Tensor, Tensor], owners: Tensor) -> Tensor:
    """(C, B, M) the best agreement with a patient other than each image's own."""
    best, owner, others = rivals
    return torch.where(owner[:, :, None] == owners, others[:, :, None], best[:, :, None])


def _rival_at(rivals: tuple[Tensor, Tensor, Tensor], owners: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(C, P) the same for some pairs."""
    best, owner, others = (one[:, rows] for one in rivals)
    return torch.where(owner == owners[columns], others, best)


def _registered(grid: Grid, queries: Tensor, real: Tensor, boxes: Tensor) -> Tensor:
    """Poses (P, dim, dim + 1) from places in the query to places in the real image, best where a box lies.

    Args:
        grid: How images are cut.
        queries: (P, *shape).
        real: (P, *shape).
        boxes: (P, dim, 2) in pixels.
    """
    dim, longest = len(grid.shape), max(grid.shape)
    shape = torch.tensor(grid.shape, device=boxes.device)
    wide = (boxes[..., 1] - boxes[..., 0]).amax(dim=1).clamp(min=round(LEAST_PATCH * longest))
    poses = torch.zeros(len(queries), dim, dim + 1, device=queries.device)
    for side in sorted(set(wide.tolist())):
        rows = torch.nonzero(wide == side)[:, 0]
        size = shape.clamp(max=side)
        middle = boxes[rows].sum(dim=2) / 2
        first = (middle - size / 2).round().long().clamp(min=0).minimum(shape - size)  # (p, dim)
        patches = _patches(queries[rows], first, size.tolist())
        shift = _best_shift(grid, patches, real[rows], first, size.tolist())
        length = float(size.max())
        # from places in the patch to places in the image; the last axis comes first
        centre = (2 / longest) * (first + size / 2 - shape / 2).flip(1)
        moved = (2 / longest) * shift.flip(1)
        start = torch.zeros(len(rows), dim, dim + 1, device=queries.device)
        start[:, :, :dim] = torch.eye(dim, device=queries.device) * (length / longest)
        start[:, :, dim] = centre + moved
        pose, _ = refine(patches[:, None], real[rows][:, None], start, STEPS)
        linear = pose[:, :, :dim] * (longest / length)
        poses[rows, :, :dim] = linear
        poses[rows, :, dim] = pose[:, :, dim] - (linear @ centre[:, :, None])[:, :, 0]
    return poses


def _patches(images: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """(P, *size) from (P, *shape), each from its own first pixel (P, dim)."""
    index = [torch.arange(len(images), device=images.device).reshape(-1, *[1] * len(size))]
    for axis, side in enumerate(size):
        shape = [1] * (len(size) + 1)
        shape[axis + 1] = side
        along = torch.arange(side, device=images.device).reshape(shape)
        index.append(first[:, axis].reshape(-1, *[1] * len(size)) + along)
    return images[tuple(index)]


def _best_shift(grid: Grid, patches: Tensor, real: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """(P, dim) pixels by which the real image is seen moved where it agrees best with a patch."""
    best = torch.full((len(patches),), -torch.inf, device=patches.device)
    found = torch.zeros(len(patches), len(size), device=patches.device)
    flat = patches.flatten(1)
    around = _patches(grid.padded(real), first, [side + 2 * grid.reach for side in size])
    for shift in grid.shifts():
        first_seen = [grid.reach + step for step in shift]
        inner = tuple(slice(start, start + side) for start, side in zip(first_seen, size, strict=True))
        seen = around[:, *inner].flatten(1)
        value = (flat * seen).sum(dim=1) / (seen.norm(dim=1) + 1e-6)
        better = value > best
        best = torch.where(better, value, best)
        found[better] = torch.tensor(shift, dtype=found.dtype, device=found.device)
    return found


def _laid(grid: Grid, real: Tensor, poses: Tensor) -> Tensor:
    """(P, *shape) real images laid over their queries; 0 beyond them."""
    values, inside = grid_sample(real[:, None], seen_through(poses, places(grid.shape, real.device)))
    laid: Tensor = (values[:, 0] * inside).reshape(real.shape)
    return laid


def _seen_box(grid: Grid, boxes: Tensor, poses: Tensor) -> Tensor:
    """(P, dim, 2) the upright box in the real image around what a box in the query shows of it."""
    dim = len(grid.shape)
    shape = torch.tensor(grid.shape, device=boxes.device)
    half = max(grid.shape) / 2
    corners = torch.cartesian_prod(*[torch.arange(2, device=boxes.device)] * dim)  # (2^dim, dim)
    ends = torch.stack([boxes[:, axis, corners[:, axis]] for axis in range(dim)], dim=2)  # (P, 2^dim, dim)
    at = ((ends - shape / 2) / half).flip(2).transpose(1, 2)
    seen = (poses[:, :, :dim] @ at + poses[:, :, dim:]).transpose(1, 2).flip(2) * half + shape / 2
    low, high = seen.amin(dim=1), seen.amax(dim=1)
    zero = torch.zeros_like(low)
    first = low.round().maximum(zero).minimum(shape - 1)
    last = high.round().maximum(first + 1).minimum(shape.expand_as(high))
    return torch.stack([first, last], dim=2).long()


def _banded(grid: Grid, pixels: NDArray[np.float32], device: str, blur: float) -> Tensor:
    blocks = [
        grid.banded(torch.from_numpy(np.array(pixels[start : start + 256], dtype=np.float32))[:, None].to(device), blur)
        for start in range(0, len(pixels), 256)
    ]
    return torch.cat(blocks) if blocks else torch.zeros(0, *grid.shape, device=device)


def _pixels(boxes: NDArray[np.generic], grid: Grid) -> NDArray[np.int64]:
    """Boxes in pixels of the images as they were given."""
    scaled = np.rint(boxes.astype(np.float64) * grid.scale).astype(np.int64)
    within: NDArray[np.int64] = np.minimum(scaled, np.array(grid.image)[:, None])
    return within
