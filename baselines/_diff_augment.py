"""Differentiable augmentation of what a discriminator sees, real or generated.

Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020: with few images a discriminator
learns them by heart; if it only ever sees them recoloured, moved and with a hole, it cannot. The gradient flows back
through the augmentation, so the generator does not learn to draw holes. The amounts are the paper's; its change of
saturation is left out, because these images are grey.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 1 / 8  # the largest translation along each axis, as a share of its side
HOLE = 1 / 2  # the side of the square that is cut out, as a share of the image's side


def diff_augmented(images: Tensor, random: torch.Generator) -> Tensor:
    """Images as the discriminator sees them, each changed in its own way.

    Args:
        images: (B, 1, *S) in [-1, 1].
        random: The only source of randomness, on the CPU.

    Returns:
        (B, 1, *S), differentiable twice with respect to ``images``; what is moved in or cut out is 0, mid-grey.

    >>> diff_augmented(torch.ones(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    return _cut(_translated(_recoloured(images, random), random), random)


def _recoloured(images: Tensor, random: torch.Generator) -> Tensor:
    """Add -0.5 to 0.5, then stretch the contrast 0.5 to 1.5 times about each image's mean."""
    shape = (len(images), *[1] * (images.ndim - 1))
    brightness = (torch.rand(shape, generator=random) - 0.5).to(images.device)
    contrast = (torch.rand(shape, generator=random) + 0.5).to(images.device)
    images = images + brightness
    mean = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
    return (images - mean) * contrast + mean


def _translated(images: Tensor, random: torch.Generator) -> Tensor:
    """Move each image by whole pixels."""
    sides = images.shape[2:]
    most = [round(SHIFT * side) for side in sides]
    padded = F.pad(images, [amount for reach in reversed(most) for amount in (reach, reach)])
    starts = [torch.randint(0, 2 * reach + 1, (len(images),), generator=random).tolist() for reach in most]
    moved = []
    for image, *start in zip(padded, *starts, strict=True):
        window = tuple(slice(first, first + side) for first, side in zip(start, sides, strict=True))
        moved.append(image[(slice(None), *window)])
    return torch.stack(moved)


def _cut(images: Tensor, random: torch.Generator) -> Tensor:
    """Set a square (in 3D a cube) to zero, which may lie partly outside."""
    inside = torch.ones(len(images), *[1] * (images.ndim - 1), dtype=torch.bool)
    for axis, side in enumerate(images.shape[2:], start=2):
        hole = round(HOLE * side)
        first = torch.randint(0, side + 1 - hole % 2, (len(images), 1), generator=random) - hole // 2
        place = torch.arange(side)
        covered = (place >= first) & (place < first + hole)  # (B, side)
        view = [len(images), *[1] * (images.ndim - 1)]
        view[axis] = side
        inside = inside & covered.reshape(view)
    return images * (~inside).to(images.device, images.dtype)
