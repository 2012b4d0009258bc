"""Augmentation of training images, the same for every trained generator: none, that of the study, or a strong one.

Dar et al. (Nature Biomedical Engineering 2025) augmented by flips and by rotations of up to five degrees, and found
that it lowers memorization. A flip is left to right, along the last axis: upside down no body lies in a scanner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from memobench.base.errors import suggest
from torch import Tensor
from torch.nn import functional as F

from ._nets import WIDTHS


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each image in each step.

    Attributes:
        flip: Probability of a mirror image.
        degrees: Largest rotation in the plane of the last two axes.
        shift: Largest shift along each axis, as a share of its side.
        zoom: Largest change of size, as a share.
        gamma: Largest logarithm of the exponent of the intensities.
    """

    flip: float = 0.0
    degrees: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    gamma: float = 0.0


AUGMENTATIONS = {
    "none": Augmentation(),
    "study": Augmentation(flip=0.5, degrees=5.0),
    "strong": Augmentation(flip=0.5, degrees=15.0, shift=0.08, zoom=0.12, gamma=0.3),
}


def check_switches(width: str, augment: str) -> None:
    """Refuse a width or an augmentation that does not exist.

    Raises:
        ValueError: No such name; the message suggests one.
    """
    for field, value, known in (("width", width, WIDTHS), ("augment", augment, AUGMENTATIONS)):
        if value not in known:
            raise ValueError(f'{field} is "{value}"; {suggest(value, known)}')


def augmented(pixels: Tensor, augment: str, random: torch.Generator) -> Tensor:
    """Training images as they are seen in one step.

    Args:
        pixels: (B, 1, *S) in [-1, 1]; not changed.
        augment: A name in :data:`AUGMENTATIONS`.
        random: The only source of randomness, on the CPU.

    Returns:
        (B, 1, *S) in [-1, 1]; what moves into view repeats the edge. Without augmentation the very same tensor.

    >>> augmented(torch.zeros(2, 1, 8, 8), "study", torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    how = AUGMENTATIONS[augment]
    if how == Augmentation():
        return pixels
    count, dimensions = len(pixels), pixels.ndim - 2
    draw = torch.rand(count, 4 + dimensions, generator=random)
    even = 2 * draw - 1
    turn = even[:, 1] * math.radians(how.degrees)
    scale = 1 + how.zoom * even[:, 2]
    mirror = torch.where(draw[:, 0] < how.flip, -1.0, 1.0)
    # grid_sample counts each axis from -1 to 1, so a turn in a plane that is not square is stretched and back
    wide, high = pixels.shape[-1], pixels.shape[-2]
    matrix = torch.eye(dimensions).repeat(count, 1, 1)  # (B, dim, dim), the last axis of an image first
    matrix[:, 0, 0], matrix[:, 0, 1] = torch.cos(turn) * mirror, -torch.sin(turn) * mirror * (high / wide)
    matrix[:, 1, 0], matrix[:, 1, 1] = torch.sin(turn) * (wide / high), torch.cos(turn)
    matrix = matrix * scale[:, None, None]
    shift = 2 * how.shift * even[:, 4:]
    pose = torch.cat([matrix, shift[:, :, None]], dim=2)
    grid = F.affine_grid(pose, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    power = torch.exp(how.gamma * even[:, 3]).reshape(-1, *[1] * (dimensions + 1))
    return ((moved + 1) / 2).clamp(0, 1) ** power * 2 - 1
