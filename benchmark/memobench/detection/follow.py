"""Local registration: a coarse grid of displacements, kept smooth, that follows what a similarity transform cannot.

Breath, posture and elastic changes of a generator move anatomy by a few pixels here and there. After a real image was
laid over a query, each node of a grid looks for the small shift at which its surroundings agree best; neighbours are
averaged before and after the choice, and large shifts must be worth it, so that no node chases noise alone. Real images
of new patients are followed in the same way, so that their scores pay for the freedom.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

from memobench.detection.register import grid_sample, places

REACH = {2: 2, 3: 1}  # pixels of the largest shift of a round, along each axis
ROUNDS = 3
COST = 0.01  # of agreement, for a pixel of shift, squared
_TINY = 1e-6


def follow(queries: Tensor, laid: Tensor, cell: int) -> Tensor:
    """Real images that lie over their queries, moved locally to where they agree best.

    Args:
        queries: (P, *S) band-passed.
        laid: (P, *S) likewise, each laid over its query; 0 beyond the image.
        cell: Side, in pixels, of what is compared around a node; nodes stand half of it apart.

    Returns:
        (P, *S) the real images moved.
    """
    dim, shape = queries.ndim - 1, queries.shape[1:]
    field = torch.zeros(len(queries), dim, *shape, device=queries.device)
    moved = laid
    for _ in range(ROUNDS):
        step = _best_steps(queries, moved, cell)
        for _ in range(2):
            step = _averaged(step)
        mode = "bilinear" if dim == 2 else "trilinear"
        field = field + F.interpolate(step, size=shape, mode=mode, align_corners=False)
        moved = _seen(laid, field)
    return moved


def _best_steps(queries: Tensor, moved: Tensor, cell: int) -> Tensor:
    """(P, dim, *nodes) the shift of each node at which its surroundings agree best, below a pixel by a parabola's."""
    dim = queries.ndim - 1
    reach = REACH[dim]
    pooled = F.avg_pool2d if dim == 2 else F.avg_pool3d
    width, stride, margin = 2 * (cell // 2) + 1, max(1, cell // 2), cell // 2
    around = F.pad(moved, [reach] * (2 * dim))

    def sums(values: Tensor) -> Tensor:
        found: Tensor = pooled(values[:, None], width, stride, margin)
        return found

    own = sums(queries.square())
    shifts = list(itertools.product(range(-reach, reach + 1), repeat=dim))
    surfaces = []
    for shift in shifts:
        window = tuple(slice(reach + s, reach + s + side) for s, side in zip(shift, queries.shape[1:], strict=True))
        seen = around[:, *window]
        value = sums(queries * seen) / torch.sqrt(own * sums(seen.square()) + _TINY)
        cost = COST * sum(s * s for s in shift)
        surfaces.append(_averaged(value) - cost)
    surface = torch.cat(surfaces, dim=1)  # (P, shifts, *nodes)
    # a mean of the shifts that favours the best ones sharply: smooth, and below a pixel
    weight = torch.softmax(40.0 * surface, dim=1)
    at = torch.tensor(shifts, dtype=queries.dtype, device=queries.device)
    step: Tensor = torch.einsum("ps...,sd->pd...", weight, at)
    return step


def _averaged(values: Tensor) -> Tensor:
    """(P, C, *nodes) each averaged with its neighbours."""
    pooled = F.avg_pool2d if values.ndim == 4 else F.avg_pool3d
    found: Tensor = pooled(values, 3, 1, 1, count_include_pad=False)
    return found


def _seen(laid: Tensor, field: Tensor) -> Tensor:
    """(P, *S) images read at displaced places; beyond the image 0."""
    shape = laid.shape[1:]
    unit = 2.0 / max(shape)
    at = places(shape, laid.device)[None] + unit * field.flip(1).flatten(2)
    values, inside = grid_sample(laid[:, None], at)
    seen: Tensor = (values[:, 0] * inside).reshape(laid.shape)
    return seen
