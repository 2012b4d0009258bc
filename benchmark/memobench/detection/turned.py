"""Queries turned back: by any angle, mirrored, inverted, within a frame; each in the one other pose that fits best.

The search of regions moves and turns what it compares only a little. So every query, real or synthetic, is compared as
a whole with all real images in every pose, at low resolution and within a disc; where another pose than the one it
stands in fits best, the query is searched in that pose too, and its better score counts. Real images of new patients
undergo the same choice, so that their scores pay for it. Volumes are turned by quarters alone, in any order and
direction of their axes (:mod:`memobench.detection.turned_volumes`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memobench.data.resample import resize
from memobench.detection.content import content_boxes
from memobench.detection.register import band, grid_sample, places, seen_through, shrink
from memobench.detection.turned_volumes import Orientation, best_orientation, brought_back

SIDE = 32  # pixels of the longest side, from which values are taken
DISC = 24  # points along the diameter of the disc that is compared
COARSE = tuple(range(0, 360, 10))  # degrees
FINE = (-7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5)  # around the best of these
OWN = 10  # degrees up to which a query counts as it stands
BETTER = 0.05  # correlation by which another pose must be better
BLOCK = 256


@dataclass(frozen=True)
class Turned:
    """Queries in another pose.

    Attributes:
        rows: (V,) which queries.
        pixels: (V, *S) these, turned back.
        poses: (V, dim, dim + 1) from places in the turned query to places in the query as it was.
    """

    rows: NDArray[np.int64]
    pixels: NDArray[np.float32]
    poses: NDArray[np.float32]


@dataclass(frozen=True)
class _Pose:
    """The best pose of each of N queries: degrees, mirrored or not (1, -1), inverted or not (1, -1), real image."""

    value: Tensor
    degrees: Tensor
    mirror: Tensor
    sign: Tensor
    column: Tensor


@torch.no_grad()
def turned_back(
    queries: NDArray[np.float32],
    real: NDArray[np.float32],
    passed: NDArray[np.bool_] | None = None,
    *,
    always: bool = False,
) -> Turned:
    """Those queries that fit real images better in another pose, in that pose.

    Args:
        queries: (N, *S) in [0, 1].
        real: (M, *S) in [0, 1].
        passed: (N, M) pairs that are not to be compared, as those of one patient; None for none.
        always: Give every query in its best other pose, even where it fits worse: for the null, so that no image has
            more tries than it.
    """
    dim = queries.ndim - 1
    none = Turned(np.zeros(0, np.int64), queries[:0], np.zeros((0, dim, dim + 1), np.float32))
    if not len(queries) or not len(real):
        return none
    boxes = content_boxes(queries)
    framed = (boxes != [[0, side] for side in queries.shape[1:]]).any(axis=(1, 2))
    bare = np.array(queries, dtype=np.float32)
    for row in np.flatnonzero(framed):
        inside = tuple(slice(*ends) for ends in boxes[row].tolist())
        bare[row] = resize(np.ascontiguousarray(queries[row][inside]), queries.shape[1:])
    if dim == 3:
        return _volumes(bare, real, passed, boxes, -math.inf if always else BETTER)
    pool = _disc(_small(real), _turns(torch.zeros(1), torch.ones(1), real.shape[1:]))[0]
    found = [
        _best_pose(
            bare[start : start + BLOCK],
            pool,
            None if passed is None else passed[start : start + BLOCK],
            -math.inf if always else BETTER,
        )
        for start in range(0, len(bare), BLOCK)
    ]
    degrees, mirror, sign = (torch.cat([getattr(one, name) for one in found]) for name in ("degrees", "mirror", "sign"))
    off = torch.minimum(degrees % 360, 360 - degrees % 360)
    other = ((off > OWN) | (mirror < 0) | (sign < 0)).numpy()
    rows = np.flatnonzero(other | framed)
    if not len(rows):
        return none
    still = ~other[rows]
    degrees, mirror, sign = degrees[rows], mirror[rows], sign[rows]
    degrees[still], mirror[still], sign[still] = 0.0, 1.0, 1.0
    poses = _turns(degrees, mirror, None)
    images = torch.from_numpy(bare[rows])[:, None]
    values, _ = grid_sample(images, seen_through(poses, places(queries.shape[1:])))
    turned = values.reshape(len(rows), *queries.shape[1:])
    turned = torch.where((sign < 0)[:, None, None], 1 - turned, turned)
    return Turned(rows, turned.numpy(), _out_of_frame(poses, boxes[rows], queries.shape[1:]))


def _volumes(
    bare: NDArray[np.float32],
    real: NDArray[np.float32],
    passed: NDArray[np.bool_] | None,
    boxes: NDArray[np.int64],
    lead: float,
) -> Turned:
    """The same for volumes that were taken out of their frames."""
    shape = bare.shape[1:]
    found = best_orientation(bare, real, passed, lead)
    rows = np.flatnonzero(found.other | (boxes != [[0, side] for side in shape]).any(axis=(1, 2)))
    pixels, poses = brought_back(bare[rows], Orientation(found.number[rows], found.inverted[rows]))
    return Turned(rows, pixels, _out_of_frame(torch.from_numpy(poses), boxes[rows], shape))


def box_as_it_was(box: NDArray[np.int64], pose: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The upright box (dim, 2), in a query as it was, around a box in the turned one."""
    half, dim = max(shape) / 2, len(shape)
    size = np.array(shape)
    corners = np.array(list(itertools.product(*box.tolist())), dtype=np.float64)
    at = ((corners - size / 2) / half)[:, ::-1]
    seen = (at @ pose[:, :dim].T + pose[:, dim])[:, ::-1] * half + size / 2
    first = np.clip(np.rint(seen.min(axis=0)), 0, size - 1)
    last = np.clip(np.rint(seen.max(axis=0)), first + 1, size)
    return np.stack([first, last], axis=1).astype(np.int64)


def _best_pose(queries: NDArray[np.float32], pool: Tensor, passed: NDArray[np.bool_] | None, lead: float) -> _Pose:
    """The best pose of each query, where standing as it does counts for ``lead`` more."""
    small = _small(queries)
    shape = queries.shape[1:]
    skip = None if passed is None else torch.from_numpy(passed)
    nothing = torch.zeros(len(queries))
    best = _Pose(nothing - torch.inf, nothing, nothing, nothing, torch.zeros(len(queries), dtype=torch.int64))
    for mirror in (1.0, -1.0):
        for degrees in COARSE:
            turn = _turns(torch.tensor([float(degrees)]), torch.tensor([mirror]), shape)
            product = _disc(small, turn)[0] @ pool.T
            for sign in (1.0, -1.0):
                signed = product * sign if skip is None else (product * sign).masked_fill(skip, -2.0)
                value, column = signed.max(dim=1)
                own = mirror > 0 and sign > 0 and min(degrees, 360 - degrees) <= OWN
                value = value + lead if own else value
                now = _Pose(
                    value,
                    torch.full_like(value, degrees),
                    torch.full_like(value, mirror),
                    torch.full_like(value, sign),
                    column,
                )
                best = _better(best, now)
    finest = torch.full_like(best.value, -2.0)
    degrees_found = best.degrees.clone()
    for step in FINE:
        degrees_now = best.degrees + step
        values = _disc(small, _turns(degrees_now, best.mirror, shape), each=True)
        value = (values * pool[best.column]).sum(dim=1) * best.sign
        better = value > finest
        finest = torch.where(better, value, finest)
        degrees_found = torch.where(better, degrees_now, degrees_found)
    # what counts as it stands keeps doing so
    keep = (torch.minimum(best.degrees, 360 - best.degrees) <= OWN) & (best.mirror > 0) & (best.sign > 0)
    return _Pose(best.value, torch.where(keep, best.degrees, degrees_found), best.mirror, best.sign, best.column)


def _better(first: _Pose, second: _Pose) -> _Pose:
    better = second.value > first.value
    return _Pose(*(torch.where(better, getattr(second, name), getattr(first, name)) for name in vars(first)))


def _small(images: NDArray[np.float32]) -> Tensor:
    small = shrink(torch.from_numpy(np.array(images, dtype=np.float32))[:, None], SIDE)
    return band(small, 0.8, SIDE / 5)


def _turns(degrees: Tensor, mirror: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """(B, 2, 3) poses of a turn; shrunk to the short side of a shape, where one is given."""
    angle = degrees * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([torch.stack([cos * mirror, -sin], dim=1), torch.stack([sin * mirror, cos], dim=1)], dim=1)
    scale = 1.0 if shape is None else min(shape) / max(shape)
    return torch.cat([matrix * scale, torch.zeros(len(degrees), 2, 1)], dim=2)


def _disc(images: Tensor, poses: Tensor, *, each: bool = False) -> Tensor:
    """Values within a disc, of mean 0 and length 1: (poses, N, P), or (N, P) where each image has a pose of its own."""
    at = places((DISC, DISC))
    at = at[:, (at**2).sum(dim=0) <= 1]
    where = seen_through(poses, at)
    if each:
        values = grid_sample(images, where)[0][:, 0][None]
    else:
        values = torch.stack([grid_sample(images.transpose(0, 1), one[None])[0][0] for one in where])
    values = values - values.mean(dim=2, keepdim=True)
    values = values / values.norm(dim=2, keepdim=True).clamp(min=1e-6)
    own: Tensor = values[0] if each else values
    return own


def _out_of_frame(poses: Tensor, boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Poses whose places lie in the query with its frame, of poses whose places lie in its content alone."""
    half, size = max(shape) / 2, np.array(shape)
    middle = ((boxes.mean(axis=2) - size / 2) / half)[:, ::-1]
    scale = ((boxes[:, :, 1] - boxes[:, :, 0]) / size)[:, ::-1]
    made, dim = poses.numpy().copy(), len(shape)
    made[:, :, :dim] *= scale[:, :, None]
    made[:, :, dim] = made[:, :, dim] * scale + middle
    return made.astype(np.float32)
