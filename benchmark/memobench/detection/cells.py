"""Cells: small squares (cubes) of images, each compared with the same place in every real image, and near to it.

Images are searched at low resolution, in a fine band: coarse shading looks the same in many patients, and it is their
fine detail that tells them apart. An image is cut into a grid of cells. Each cell is laid over the same place of every
real image, moved by up to a few pixels, and the agreement at a shift is the normalized correlation. Windows of several
cells share one shift. Because every cell is normalized by itself, a single bright edge (a collimator, a marker) cannot
lead a whole window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from memobench.detection.register import band, shrink

SIDES = {2: 64, 3: 32}  # longest side of the images as they are searched
CELLS = {2: 8, 3: 4}  # cells along the longest side
OVERLAPPING = (2,)  # dimensions in which the votes of cells are counted every half cell
REACH = {2: 3 / 64, 3: 1 / 16}  # shifts that are searched, as a share of the longest side
BAND = (0.5, 1.5)  # standard deviations of the two Gaussians, in pixels
MOST = 1.5  # beyond which the band-passed image is cut off, in units of its local contrast
NOTHING = -1.0  # agreement of what is not compared
COHERENT = 0.8  # coherence of the gradients in a cell beyond which it shows straight edges alone
FLOOR = 0.05  # contrast that counts as none, in the same units: an even cell agrees with nothing


@dataclass(frozen=True)
class Grid:
    """How images of one shape are cut into cells.

    Attributes:
        image: Shape of the images as they are given.
        shape: Shape as they are searched: at most 64 pixels (volumes 32) along the longest side.
        cell: Side of a cell in pixels of ``shape``.
        reach: Pixels of the largest shift, along each axis.
    """

    image: tuple[int, ...]
    shape: tuple[int, ...]
    cell: int
    reach: int

    @classmethod
    def of(cls, image: Sequence[int]) -> Self:
        """The grid of images of a shape.

        >>> Grid.of((64, 48)).counts, Grid.of((32, 32, 32)).counts
        ((8, 6), (4, 4, 4))
        """
        dim, longest = len(image), max(image)
        side = min(SIDES[dim], longest)
        shape = tuple(max(4, round(s * side / longest)) for s in image) if longest > side else tuple(image)
        return cls(tuple(image), shape, max(4, -(-side // CELLS[dim])), max(1, round(REACH[dim] * side)))

    @property
    def counts(self) -> tuple[int, ...]:
        """Cells along each axis; the last ones may reach beyond the image."""
        return tuple(-(-side // self.cell) for side in self.shape)

    @property
    def scale(self) -> float:
        """Pixels of the given images per pixel of the searched ones."""
        return max(self.image) / max(self.shape)

    def shifts(self) -> Iterator[tuple[int, ...]]:
        """All shifts, in pixels."""
        return itertools.product(range(-self.reach, self.reach + 1), repeat=len(self.shape))

    def banded(self, images: Tensor, blur: float = 0.0) -> Tensor:
        """Images (N, 1, *image) as they are compared: (N, *shape).

        Args:
            images: In [0, 1].
            blur: Standard deviation, in pixels of ``shape``, of the blur that is assumed to be in them; the band that
                is left of them is wider then.
        """
        small = shrink(images, max(self.shape))
        fine, coarse = BAND
        return band(small, fine, coarse * (1 + blur)).clamp(-MOST, MOST)[:, 0]

    def offsets(self) -> list[tuple[int, ...]]:
        """Half cells by which the grid is moved along each axis: in 2D all four ways, so that cells overlap."""
        dim = len(self.shape)
        return list(itertools.product((0, 1), repeat=dim)) if dim in OVERLAPPING else [(0,) * dim]

    @property
    def step(self) -> int:
        """Pixels from one cell to the next, of all grids together."""
        return self.cell // 2 if len(self.shape) in OVERLAPPING else self.cell

    @property
    def overlapping(self) -> tuple[int, ...]:
        """Cells along each axis of all grids together."""
        return tuple(2 * count - 1 for count in self.counts) if len(self.shape) in OVERLAPPING else self.counts

    def cut(self, images: Tensor, offset: Sequence[int] = ()) -> Tensor:
        """Images (N, *shape) to cells of length one (C, N, pixels), beyond the image 0.

        Args:
            images: (N, *shape) from :meth:`banded`.
            offset: Half cells by which the grid is moved along each axis; none where not given.
        """
        cells = self._split(images, offset)
        unit: Tensor = cells / (cells.norm(dim=2, keepdim=True) + FLOOR * self.cell ** (len(self.shape) / 2))
        return unit

    def _split(self, images: Tensor, offset: Sequence[int]) -> Tensor:
        """Images (N, *shape) to cells (C, N, pixels) as they are."""
        dim = len(self.shape)
        for axis, half in enumerate(offset, start=1):
            first = half * (self.cell // 2)
            rest = images.narrow(axis, first, images.shape[axis] - first)
            images = F.pad(rest, [0, 0] * (dim - axis) + [0, first])
        more = [count * self.cell - side for count, side in zip(self.counts, self.shape, strict=True)]
        padded = F.pad(images, [width for one in reversed(more) for width in (0, one)])
        split = padded.reshape(len(images), *itertools.chain.from_iterable((count, self.cell) for count in self.counts))
        places = [1 + 2 * axis for axis in range(dim)]
        inner = [2 + 2 * axis for axis in range(dim)]
        return split.permute(*places, 0, *inner).reshape(-1, len(images), self.cell**dim)

    def straight(self, images: Tensor, offset: Sequence[int] = ()) -> Tensor:
        """(C, N) cells that show nothing but straight edges in one direction, as a collimator's, which many share.

        By the coherence of the structure tensor (Bigun & Granlund 1987); in 2D alone.
        """
        if len(self.shape) != 2:
            return torch.zeros(len(self.cut(images[:1], offset)), len(images), dtype=torch.bool, device=images.device)
        down, along = torch.gradient(images, dim=[1, 2])
        products = (down * down, along * along, down * along)
        yy, xx, xy = (self._split(product, offset).sum(dim=2) for product in products)
        coherence = torch.sqrt((yy - xx).square() + 4 * xy.square()) / (yy + xx).clamp(min=1e-6)
        edges: Tensor = coherence > COHERENT
        return edges

    def padded(self, images: Tensor) -> Tensor:
        """Images (N, *shape) with as many pixels of 0 around them as the largest shift has."""
        return F.pad(images, [self.reach] * (2 * len(self.shape)))

    def moved(self, images: Tensor, shift: Sequence[int]) -> Tensor:
        """Images (N, *shape) seen through a shift: what lies beyond them is 0."""
        padded = self.padded(images)
        for axis, (step, side) in enumerate(zip(shift, self.shape, strict=True), start=1):
            padded = padded.narrow(axis, self.reach + step, side)
        return padded


def moved_cells(grid: Grid, queries: Tensor, real: Tensor, offset: Sequence[int]) -> Tensor:
    """(C, B, M) the agreement of each cell with each real image at the best shift, of a grid that is moved.

    Args:
        grid: How images are cut.
        queries: (B, *shape) from :meth:`Grid.banded`.
        real: (M, *shape) likewise.
        offset: Half cells by which the grid is moved along each axis.
    """
    own = grid.cut(queries, offset)
    cells = torch.full((len(own), len(queries), len(real)), NOTHING, device=queries.device)
    for shift in grid.shifts():
        torch.maximum(cells, torch.bmm(own, grid.cut(grid.moved(real, shift), offset).transpose(1, 2)), out=cells)
    return cells


def cell_agreement(grid: Grid, queries: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The agreement of each cell, and of each window of two cells a side, with each real image at the best shift.

    Args:
        grid: How images are cut.
        queries: (B, *shape) from :meth:`Grid.banded`.
        real: (M, *shape) likewise.

    Returns:
        (C, B, M) of cells and (W, B, M) of windows, in [-1, 1].
    """
    own = grid.cut(queries)
    size, rest = window_of(grid), (len(queries), len(real))
    count = [whole - side + 1 for whole, side in zip(grid.counts, size, strict=True)]
    cells = torch.full((len(own), *rest), NOTHING, device=queries.device)
    windows = torch.full((math.prod(count), *rest), NOTHING, device=queries.device)
    for shift in grid.shifts():
        product = torch.bmm(own, grid.cut(grid.moved(real, shift)).transpose(1, 2))
        pair = box_sums(product.reshape(*grid.counts, *rest), size).reshape(-1, *rest) / math.prod(size)
        torch.maximum(cells, product, out=cells)
        torch.maximum(windows, pair, out=windows)
    return cells, windows


def window_of(grid: Grid) -> tuple[int, ...]:
    """Cells of a window along each axis: two, where there are two."""
    return tuple(min(2, count) for count in grid.counts)


def box_sums(values: Tensor, sides: Sequence[int]) -> Tensor:
    """Sums over all boxes of some small sides: (*counts, ...) to (*(counts - sides + 1), ...).

    >>> box_sums(torch.arange(4.0).reshape(2, 2), (1, 2)).tolist()
    [[1.0], [5.0]]
    """
    for axis, side in enumerate(sides):
        count = values.shape[axis] - side + 1
        total = values.narrow(axis, 0, count)
        for first in range(1, side):
            total = total + values.narrow(axis, first, count)
        values = total
    return values


def integral(values: Tensor, dim: int) -> Tensor:
    """Sums over all values before each corner of a grid: (*counts, ...) to (*(counts + 1), ...)."""
    for axis in range(dim):
        values = values.cumsum(dim=axis)
        values = torch.cat([torch.zeros_like(values.narrow(axis, 0, 1)), values], dim=axis)
    return values


def _boxes_within(sums: Tensor, sides: Sequence[int]) -> Tensor:
    for axis, side in enumerate(sides):
        count = sums.shape[axis] - side
        sums = sums.narrow(axis, side, count) - sums.narrow(axis, 0, count)
    return sums


def best_sums(values: Tensor, counts: Sequence[int]) -> Tensor:
    """(...) the largest sum of values (C, ...) over a contiguous box of the cells of a grid.

    >>> best_sums(torch.tensor([1.0, 2.0, -9.0, 1.0]), (4,)).item()
    3.0
    """
    rest = values.shape[1:]
    sums = integral(values.reshape(*counts, *rest), len(counts))
    best = torch.full(rest, -torch.inf, device=values.device)
    for sides in _sides(counts):
        torch.maximum(best, _boxes_within(sums, sides).reshape(-1, *rest).amax(dim=0), out=best)
    return best


def best_boxes(values: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The contiguous box of cells with the largest sum of values.

    Args:
        values: (C, P) one value for each cell of a grid.
        counts: Cells along each axis.

    Returns:
        (P,) the largest sums, and (P, dim, 2) first and one past the last cell of their boxes.

    >>> sums, boxes = best_boxes(torch.tensor([[1.0], [2.0], [-9.0], [1.0]]), (4,))
    >>> sums.tolist(), boxes.tolist()
    ([3.0], [[[0, 2]]])
    """
    dim, pairs = len(counts), values.shape[1]
    sums = integral(values.reshape(*counts, pairs), dim)
    best = torch.full((pairs,), -torch.inf, device=values.device)
    boxes = torch.zeros(pairs, dim, 2, dtype=torch.int64, device=values.device)
    for sides in _sides(counts):
        found = _boxes_within(sums, sides)
        value, number = found.reshape(-1, pairs).max(dim=0)
        better = value > best
        first = torch.stack(torch.unravel_index(number[better], found.shape[:dim]), dim=-1)
        boxes[better] = torch.stack([first, first + torch.tensor(sides, device=first.device)], dim=-1)
        best = torch.maximum(best, value)
    return best, boxes


def _sides(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(1, count + 1) for count in counts))
