"""Copies planted at random for the verifier to learn from: views as :mod:`augment` makes them, blends, pasted parts."""

from __future__ import annotations

import torch
from torch import Tensor

from memobench.detection.augment import Strength, augment

GROUP = 8  # images that share which kinds of change they get
KINDS = ("geometry", "intensity", "blur", "noise", "part", "blend")


def plant(images: Tensor, others: Tensor, random: torch.Generator) -> Tensor:
    """A planted copy of each image: one to three kinds of change at random strengths, and a mirror image at times.

    Args:
        images: (N, 1, *S) in [0, 1].
        others: (N, 1, *S) images of other patients, for blends and pasted parts.
        random: A generator on the CPU.
    """
    made = []
    for start in range(0, len(images), GROUP):
        group, beside = images[start : start + GROUP], others[start : start + GROUP]
        count = int(torch.randint(1, 4, (1,), generator=random))
        kinds = {KINDS[k] for k in torch.randperm(len(KINDS), generator=random)[:count].tolist()}
        if "blend" in kinds:
            share = _uniform(group, random, 0.05, 0.45)
            group = (1 - share) * group + share * beside
        if "part" in kinds:
            group = paste(group, beside, random)
        moved, lit = float("geometry" in kinds), float("intensity" in kinds)
        strength = Strength(
            rotation=30.0 * moved,
            scale=0.5 * moved,
            shift=0.1 * moved,
            flip=0.3,
            gamma=0.8 * lit,
            contrast=0.6 * lit,
            brightness=0.2 * lit,
            blur=0.04 * float("blur" in kinds),
            noise=0.25 * float("noise" in kinds),
            cut=0.3 * float("part" in kinds),
        )
        made.append(augment(group, random, strength))
    return torch.cat(made)


def paste(images: Tensor, others: Tensor, random: torch.Generator) -> Tensor:
    """A box of each image, a sixth to a half of each side, replaced by the same box of another."""
    inside = torch.ones_like(images, dtype=torch.bool)
    for axis, side in enumerate(images.shape[2:], start=2):
        length = _uniform(images, random, side / 6, side / 2)
        first = torch.rand(length.shape, generator=random).to(images.device) * (side - length)
        at = torch.arange(side, device=images.device).reshape([-1 if k == axis else 1 for k in range(images.ndim)])
        inside = inside & (at >= first) & (at < first + length)
    return torch.where(inside, others, images)


def _uniform(images: Tensor, random: torch.Generator, low: float, high: float) -> Tensor:
    """One number per image, shaped to be combined with it."""
    drawn = torch.rand(len(images), generator=random) * (high - low) + low
    return drawn.to(images.device).reshape(-1, *[1] * (images.ndim - 1))
