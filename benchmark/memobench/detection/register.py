"""Registration of real images to queries: an exhaustive coarse search over poses, then Gauss-Newton refinement.

A pose is a similarity transform (mirror, rotation, one scale, shift). It maps a place in the query to the place in the
real image that shows the same anatomy, so a real image that was turned, shifted, zoomed or mirrored is laid back over
the query. Images are compared by normalized correlation after a band-pass, which takes away brightness and slow
shading, over the part of the query that the real image covers.

Places are counted in units of half the longest side, from the centre: turns stay turns in images that are not square.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from memobench.base.progress import silent

LEAST_OVERLAP = 0.55  # share of the query that a pose must cover with the real image
QUERIES = 128  # at once: their correlations with all poses stay in the processor's cache,
TEMPLATES = 1 << 20  # as do the numbers of the templates that they are multiplied with
SAMPLED = 16  # real images that are turned at once
TINY = 1e-8


@dataclass(frozen=True)
class SearchGrid:
    """The poses of the coarse search.

    Attributes:
        side: Longest side in pixels of the coarse images.
        margin: Shifts searched, in coarse pixels to each direction, along each axis (last axis first).
        degrees: Rotations in the plane of the last two axes.
        scales: Sides of the part of the real image that the query shows, relative to the whole.
    """

    side: int
    margin: tuple[int, ...]
    degrees: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, dim: int) -> SearchGrid:
        """The grid for 2D or 3D images."""
        if dim == 2:
            turns, zooms = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0), (0.66, 0.78, 0.9, 1.0, 1.15)
            return cls(16, (3, 3), turns, zooms)
        return cls(10, (2, 2, 1), (-24.0, -12.0, 0.0, 12.0, 24.0), (0.7, 0.85, 1.0, 1.15))

    @classmethod
    def unmoved(cls, dim: int) -> SearchGrid:
        """A finer grid that only mirrors and shifts by a pixel: for blends and pasted parts, which do not move."""
        return cls(64, (1, 1), (0.0,), (1.0,)) if dim == 2 else cls(16, (1, 1, 1), (0.0,), (1.0,))

    @classmethod
    def still(cls, dim: int) -> SearchGrid:
        """The images as they stand and mirrored, nothing else: cheap enough for a whole large pool."""
        return replace(cls.unmoved(dim), margin=(0,) * dim)


def places(shape: Sequence[int], device: torch.device | str = "cpu", margin: Sequence[int] | None = None) -> Tensor:
    """Coordinates of the pixels of an image of a shape, (dim, P), the last axis first (x, y or x, y, z).

    Args:
        shape: Sides of the image.
        device: A torch device.
        margin: Pixels added at both ends of each axis, last axis first.

    >>> places((2, 4))[:, 0].tolist()
    [-0.75, -0.25]
    """
    margin = margin or [0] * len(shape)
    unit = 2.0 / max(shape)
    axes = [
        (torch.arange(-m, side + m, device=device, dtype=torch.float32) + 0.5 - side / 2) * unit
        for side, m in zip(shape, reversed(list(margin)), strict=True)
    ]
    grid = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([axis.reshape(-1) for axis in reversed(grid)])


def seen_through(pose: Tensor, at: Tensor) -> Tensor:
    """Where poses (B, dim, dim + 1) send places (dim, P): (B, dim, P)."""
    ones = torch.ones_like(at[:1])
    return (pose.flatten(0, 1) @ torch.cat([at, ones])).reshape(*pose.shape[:2], -1)


def grid_sample(images: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Images at places, with linear interpolation.

    Args:
        images: (B, C, *S).
        where: (B, dim, P) places, last axis first.

    Returns:
        (B, C, P) values, borders repeated, and (B, P) whether the place lies in the image.
    """
    dim = images.ndim - 2
    sides = torch.tensor(images.shape[:1:-1], device=images.device, dtype=torch.float32)
    grid = where * (sides.max() / sides)[:, None]  # each axis from -1 to 1, as grid_sample counts
    inside = (grid.abs() <= 1.0 + 1e-4).all(dim=1)
    shaped = grid.transpose(1, 2).reshape(len(images), *[1] * (dim - 1), -1, dim)
    values = F.grid_sample(images, shaped, padding_mode="border", align_corners=False)
    return values.reshape(len(images), images.shape[1], -1), inside


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Images (N, C, *S) smoothed by a standard deviation in pixels; at the borders the kernel's rest is rescaled."""
    if sigma <= 0:
        return images
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        offset = torch.arange(side, device=images.device, dtype=images.dtype)
        weight = torch.exp(-0.5 * ((offset[:, None] - offset[None, :]) / sigma) ** 2)
        weight = weight / weight.sum(dim=1, keepdim=True)
        rows = images.movedim(axis, -1)
        # one product of matrices; a batch of small ones is many times slower on a CPU
        images = (rows.reshape(-1, side) @ weight.T).reshape(rows.shape).movedim(-1, axis)
    return images


def band(images: Tensor, fine: float, coarse: float) -> Tensor:
    """The band between two Gaussians, in pixels, divided by its local contrast: (N, 1, *S) to the same.

    Dividing by the local contrast makes the band blind to gamma and exposure, which change it from place to place.
    """
    detail = gaussian(images, fine) - gaussian(images, coarse)
    energy = gaussian(detail * detail, 2 * coarse)
    whole = detail.flatten(1).square().mean(dim=1).reshape(-1, *[1] * (images.ndim - 1))
    return detail / torch.sqrt(energy + 0.1 * whole + TINY)


def shrink(images: Tensor, side: int) -> Tensor:
    """Images (N, 1, *S) resampled so that the longest side has ``side`` pixels, without aliasing."""
    longest = max(images.shape[2:])
    if longest <= side:
        return images
    size = [max(4, round(s * side / longest)) for s in images.shape[2:]]
    smooth = gaussian(images, 0.5 * longest / side)
    mode = "bilinear" if images.ndim == 4 else "trilinear"
    return F.interpolate(smooth, size=size, mode=mode, align_corners=False)


class CoarseSearch:
    """Every pose of a grid at once: each real image, in all poses (its templates), is multiplied with all queries.

    Args:
        shape: Shape of the full images.
        grid: The poses; None for those of the dimension.
        device: A torch device.
    """

    def __init__(self, shape: Sequence[int], grid: SearchGrid | None = None, device: torch.device | str = "cpu"):
        self.grid = grid or SearchGrid.of(len(shape))
        self.device = device
        self.dim = len(shape)
        longest = max(shape)
        side = min(self.grid.side, longest)
        self.shape = tuple(shape) if longest <= side else tuple(max(4, round(s * side / longest)) for s in shape)

    def prepare(self, images: Tensor) -> Tensor:
        """Full images (N, 1, *S) to coarse band-passed ones (N, 1, *C)."""
        return band(shrink(images.to(self.device), max(self.shape)), 0.6, max(self.shape) / 5)

    @cached_property
    def matrices(self) -> Tensor:
        """(K, dim, dim): mirror, turn and scale of each pose."""
        made = []
        for mirror, scale, degrees in itertools.product((1.0, -1.0), self.grid.scales, self.grid.degrees):
            turn = math.radians(degrees)
            matrix = torch.eye(self.dim)
            matrix[0, 0], matrix[0, 1] = math.cos(turn) * mirror, -math.sin(turn) * mirror
            matrix[1, 0], matrix[1, 1] = math.sin(turn), math.cos(turn)
            made.append(matrix * scale)
        return torch.stack(made).to(self.device)

    @cached_property
    def shifts(self) -> Tensor:
        """(S, dim): the shifts, in places of the query, in the order in which windows are cut."""
        unit = 2.0 / max(self.shape)
        steps = [torch.arange(-m, m + 1, dtype=torch.float32) * unit for m in self.grid.margin]
        made = torch.meshgrid(*reversed(steps), indexing="ij")
        return torch.stack([axis.reshape(-1) for axis in reversed(made)], dim=1).to(self.device)

    def pose(self, number: Tensor) -> Tensor:
        """Pose numbers (B,) to transforms (B, dim, dim + 1) from places in the query to places in the real image."""
        matrix = self.matrices[number // len(self.shifts)]
        shift = self.shifts[number % len(self.shifts)]
        return torch.cat([matrix, (matrix @ shift[:, :, None])], dim=2)

    @cached_property
    def _canvas(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the canvas of each matrix looks, what of it lies in the image, and which pixels a pose covers.

        Returns:
            (1, dim, K * P), (K, P) and (K * S, pixels).
        """
        around = places(self.shape, self.device, self.grid.margin)
        where = self.matrices @ around  # (K, dim, P)
        _, inside = grid_sample(torch.zeros(len(where), 1, *self.shape, device=self.device), where)
        return where.movedim(1, 0).reshape(1, self.dim, -1), inside.float(), self._windows(inside.float())

    def _windows(self, canvases: Tensor) -> Tensor:
        """Canvases (K, P) to the window of every shift, (K * S, pixels)."""
        canvas = canvases.reshape(len(canvases), *self._canvas_shape)
        for axis, side in enumerate(self.shape, start=1):
            canvas = canvas.unfold(axis, side, 1)  # (K, 2m+1, ..., side, ...)
        return canvas.reshape(len(canvases) * len(self.shifts), -1)

    def _sums(self, canvases: Tensor) -> Tensor:
        """The sums of the windows of canvases (K, P): (K * S,)."""
        sums = canvases.reshape(len(canvases), *self._canvas_shape)
        for axis, side in enumerate(self.shape, start=1):
            upto = sums.cumsum(dim=axis)
            sums = upto.narrow(axis, side - 1, upto.shape[axis] - side + 1).clone()
            sums.narrow(axis, 1, sums.shape[axis] - 1).sub_(upto.narrow(axis, 0, sums.shape[axis] - 1))
        return sums.flatten()

    @property
    def _canvas_shape(self) -> list[int]:
        return [side + 2 * more for side, more in zip(self.shape, reversed(self.grid.margin), strict=True)]

    @torch.no_grad()
    def scores(
        self, queries: Tensor, real: Tensor, near: Tensor | None = None, track: Callable[..., Iterator[Any]] = silent
    ) -> tuple[Tensor, Tensor]:
        """The best correlation of each query with each real image over all poses, one for each mirroring.

        Args:
            queries: (N, 1, *C) prepared.
            real: (M, 1, *C) prepared.
            near: (N, K) the real images that each query is compared with; None for all, in their order (K = M).
            track: Shows progress.

        Returns:
            (N, K, 2) correlations and (N, K, 2) pose numbers; the last axis is plain, mirrored.
        """
        where, inside, mask = self._canvas
        flat = queries.flatten(1)  # (N, pixels)
        count = mask.sum(dim=1)  # (poses,)
        ample = count >= LEAST_OVERLAP * mask.shape[1]
        variance = (flat * flat) @ mask.T - (flat @ mask.T) ** 2 / count.clamp(min=1)
        spread = torch.where(ample, variance.clamp(min=TINY).rsqrt(), 0.0)  # (N, poses)
        width = len(real) if near is None else near.shape[1]
        best = torch.full((len(queries), width, 2), -1.0, device=flat.device)
        number = torch.zeros(len(queries), width, 2, dtype=torch.int32, device=flat.device)
        half = len(mask) // 2  # plain poses come first
        # images whose templates are multiplied at once; with a choice of images the queries of each are others
        together = 1 if near is not None else max(1, TEMPLATES // mask.numel())
        met = _met(near, len(queries), len(real))
        step = max(SAMPLED, together)
        for start in track(range(0, len(real), step), "searching poses"):
            some = real[start : start + step, 0]
            values, _ = grid_sample(some[None], where)  # as channels, whose places are computed once
            canvases = values.reshape(len(some), *inside.shape).mul_(inside)
            for place in range(0, len(some), together):
                canvas = canvases[place : place + together].flatten(0, 1)  # (T * K, P)
                rows, at = met(start + place, min(together, len(some) - place))
                if not len(rows):
                    continue
                total = self._sums(canvas).reshape(-1, len(mask))  # (T, poses)
                mean = total / count.clamp(min=1)
                norm = (self._sums(canvas.square()).reshape(-1, len(mask)) - mean * total).clamp(min=TINY).sqrt()
                template = self._windows(canvas).reshape(*total.shape, -1)
                template.addcmul_(mask, mean[..., None], value=-1).mul_(norm.reciprocal()[..., None])
                for part, column in zip(torch.split(rows, QUERIES), torch.split(at, QUERIES), strict=True):
                    found = (flat[part] @ template.flatten(0, 1).T).reshape(len(part), *total.shape)
                    found.mul_(spread[part][:, None])
                    value, pose = found.reshape(*found.shape[:2], 2, half).max(dim=3)  # (n, T, 2)
                    best[part[:, None], column] = value
                    number[part[:, None], column] = (pose + torch.tensor([0, half], device=pose.device)).int()
        return best, number


def _met(near: Tensor | None, queries: int, real: int) -> Callable[[int, int], tuple[Tensor, Tensor]]:
    """From some images, the first and how many, to the (n,) queries that meet them and the (n, T) columns there."""
    if near is None:  # indices may lie on another device than what they choose from
        everyone = torch.arange(queries)
        return lambda first, count: (everyone, torch.arange(first, first + count).expand(queries, -1))
    width = near.shape[1]
    pairs = near.flatten().argsort(stable=True)  # by real image, so that its templates are made once
    ends = [0, *torch.bincount(near.flatten(), minlength=real).cumsum(0).tolist()]

    def of_one(first: int, count: int) -> tuple[Tensor, Tensor]:
        own = pairs[ends[first] : ends[first + count]]
        return own // width, (own % width)[:, None]

    return of_one


def refine(query: Tensor, real: Tensor, pose: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Gauss-Newton on a similarity transform with gain and offset, from a first pose; the best pose met is kept.

    With w the real image seen through the pose, q = a (w + grad w . (s x + r Jx + t)) + b is solved by least squares
    over the covered pixels, for scale s, rotations r and shift t (forward compositional alignment; Baker & Matthews,
    IJCV 2004, with the gain and offset of Evangelidis & Psarakis, TPAMI 2008).

    Args:
        query: (B, 1, *S) band-passed.
        real: (B, 1, *S) band-passed.
        pose: (B, dim, dim + 1).
        steps: Iterations.

    Returns:
        (B, dim, dim + 1) the poses and (B,) their correlations; a pose that covers too little has correlation -1.
    """
    at = places(query.shape[2:], query.device)  # (dim, P)
    flat = query.flatten(1)  # (B, P)
    best, best_pose = torch.full((len(query),), -1.0, device=query.device), pose
    best_w, best_mask = torch.zeros_like(flat), torch.zeros_like(flat)
    damping = torch.full((len(query), 1), 1e-3, device=query.device)
    for step in range(steps + 1):
        values, inside = grid_sample(real, seen_through(pose, at))
        w, mask = values[:, 0], inside.float()
        now = masked_correlation(flat, w, mask)
        better = now > best
        best = torch.where(better, now, best)
        best_pose = torch.where(better[:, None, None], pose, best_pose)
        if step == steps:
            break
        best_w = torch.where(better[:, None], w, best_w)
        best_mask = torch.where(better[:, None], mask, best_mask)
        # a step that made things worse is taken back, and the next one is shorter
        damping = torch.where(better[:, None], damping * 0.3, damping * 10).clamp(1e-4, 1e3)
        slope = _slope(best_w.reshape(query.shape[0], *query.shape[2:]))  # (B, dim, P)
        columns = torch.cat([_effects(slope, at), best_w[:, None], torch.ones_like(best_w)[:, None]], dim=1)
        weighted = columns * best_mask[:, None]  # (B, G + 2, P)
        normal = weighted @ columns.transpose(1, 2)
        right = weighted @ flat[:, :, None]
        diagonal = torch.diagonal(normal, dim1=1, dim2=2)
        normal = normal + torch.diag_embed(diagonal * damping + TINY)
        solved = torch.linalg.solve(normal, right)[:, :, 0]
        gain = solved[:, -2:-1].abs().clamp(min=0.1)
        pose = _moved(best_pose, (solved[:, :-2] / gain).clamp(-0.15, 0.15))
    return best_pose, best


def masked_correlation(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Correlation of rows (B, P) over the pixels of a mask (B, P) of weights; -1 where it covers too little."""
    count = mask.sum(dim=1)
    scale = mask / count.clamp(min=1)[:, None]
    a = first - (first * scale).sum(dim=1, keepdim=True)
    b = second - (second * scale).sum(dim=1, keepdim=True)
    power = (a * a * scale).sum(dim=1) * (b * b * scale).sum(dim=1)
    correlation = (a * b * scale).sum(dim=1) / torch.sqrt(power + TINY * TINY)
    return torch.where(count >= LEAST_OVERLAP * mask.shape[1], correlation, -1.0)


def _effects(slope: Tensor, at: Tensor) -> Tensor:
    """What a unit of scale, of each rotation and of each shift of the places does to the values: (B, G, P)."""
    rows = [(slope * at).sum(dim=1)]
    rows += [slope[:, b] * at[a] - slope[:, a] * at[b] for a, b in itertools.combinations(range(len(at)), 2)]
    return torch.cat([torch.stack(rows, dim=1), slope], dim=1)


def _moved(pose: Tensor, move: Tensor) -> Tensor:
    """A pose (B, dim, dim + 1) after a small motion (B, G) of the query's places, kept a similarity."""
    dim = pose.shape[1]
    turn = torch.zeros_like(pose[:, :, :-1])
    for number, (a, b) in enumerate(itertools.combinations(range(dim), 2)):
        turn[:, a, b] = -move[:, 1 + number]
        turn[:, b, a] = move[:, 1 + number]
    matrix = torch.exp(move[:, 0])[:, None, None] * torch.linalg.matrix_exp(turn)
    shift = move[:, 1 + dim * (dim - 1) // 2 :]
    linear = pose[:, :, :-1] @ matrix
    offset = (pose[:, :, :-1] @ shift[:, :, None]) + pose[:, :, -1:]
    return torch.cat([linear, offset], dim=2)


def _slope(images: Tensor) -> Tensor:
    """Central differences of images (B, *S) per unit of place: (B, dim, P), last axis first."""
    unit = 2.0 / max(images.shape[1:])
    slopes = torch.gradient(images, spacing=unit, dim=list(range(1, images.ndim)))
    return torch.stack([slope.flatten(1) for slope in reversed(slopes)], dim=1)
