"""Volumes turned back: in the one of 48 orientations, bright and dark as they are or exchanged, that fits best.

A volume is compared as a whole with all real ones in every order and direction of the axes, at low resolution. As in
two dimensions, real volumes of new patients undergo the same choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from memobench.data.resample import resize
from memobench.detection.poses import Change, orientations
from memobench.detection.register import band

SIDE = 12  # of the cubes that are compared
BLOCK = 256


@dataclass(frozen=True)
class Orientation:
    """How each of N volumes fits best.

    Attributes:
        number: (N,) of the orientation, 0 as it stands.
        inverted: (N,) whether bright and dark are exchanged.
    """

    number: NDArray[np.int64]
    inverted: NDArray[np.bool_]

    @property
    def other(self) -> NDArray[np.bool_]:
        """(N,) which do not fit best as they stand."""
        changed: NDArray[np.bool_] = (self.number > 0) | self.inverted
        return changed


def best_orientation(
    queries: NDArray[np.float32], real: NDArray[np.float32], passed: NDArray[np.bool_] | None, lead: float
) -> Orientation:
    """The orientation in which each volume resembles a real one most.

    Args:
        queries: (N, D, H, W) in [0, 1].
        real: (M, D, H, W) in [0, 1].
        passed: (N, M) pairs that are not to be compared; None for none.
        lead: Correlation by which another orientation must be better; -inf where another one is wanted always.
    """
    pool = _cubes(real).flatten(1)
    number, inverted = np.zeros(len(queries), dtype=np.int64), np.zeros(len(queries), dtype=bool)
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        cubes = _cubes(queries[rows])
        skip = None if passed is None else torch.from_numpy(passed[rows])
        best = torch.full((len(cubes),), -math.inf)
        for place, (axes, flips) in enumerate(orientations(3)):
            flipped = [1 + axis for axis, flip in enumerate(flips) if flip]
            seen = cubes.permute(0, *(1 + axis for axis in axes)).flip(flipped).flatten(1)
            products = seen @ pool.T
            for sign in (1.0, -1.0):
                signed = products * sign if skip is None else (products * sign).masked_fill(skip, -2.0)
                value = signed.max(dim=1).values + (lead if place == 0 and sign > 0 else 0.0)
                better = (value > best).numpy()
                best = torch.maximum(best, value)
                number[rows][better], inverted[rows][better] = place, sign < 0
    return Orientation(number, inverted)


def brought_back(
    volumes: NDArray[np.float32], orientation: Orientation
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Volumes in their orientation, and where their places lie in the volumes as they were.

    Args:
        volumes: (N, D, H, W).
        orientation: Of the same.

    Returns:
        (N, D, H, W) and (N, 3, 4) poses, the last axis first.
    """
    shape = volumes.shape[1:]
    made = np.empty_like(volumes)
    poses = np.zeros((len(volumes), 3, 4), dtype=np.float32)
    for row, (volume, number) in enumerate(zip(volumes, orientation.number.tolist(), strict=True)):
        axes, flips = orientations(3)[number]
        turned = np.ascontiguousarray(Change(axes, flips).turned(volume))
        made[row] = resize(1 - turned if orientation.inverted[row] else turned, shape)
        for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
            poses[row, 2 - old, 2 - new] = (-1.0 if flip else 1.0) * shape[old] / shape[new]
    return made, poses


def _cubes(volumes: NDArray[np.float32]) -> Tensor:
    """(N, s, s, s) band-passed at low resolution, each of mean 0 and length 1."""
    made = []
    for start in range(0, len(volumes), BLOCK):
        some = torch.from_numpy(np.array(volumes[start : start + BLOCK], dtype=np.float32))[:, None]
        detail = band(F.adaptive_avg_pool3d(some, SIDE), 0.6, SIDE / 5).flatten(1)
        detail = detail - detail.mean(dim=1, keepdim=True)
        made.append(detail / detail.norm(dim=1, keepdim=True).clamp(min=1e-6))
    return torch.cat(made).reshape(-1, SIDE, SIDE, SIDE)
