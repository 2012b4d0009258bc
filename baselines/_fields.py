"""Checks of the hyper-parameters that trained generators share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ._augment import check_switches


def check_fields(
    generator: Any, *, lists: Sequence[str], pairs: Sequence[str], may_be_zero: Sequence[str] = ()
) -> None:
    """Refuse impossible values, and make tuples of the lists that JSON gives.

    Args:
        generator: A dataclass with the fields ``width`` and ``augment``; changed in place.
        lists: Its fields that hold several integers.
        pairs: Its fields that hold two integers, one for 2D and one for 3D.
        may_be_zero: Its integers that may be 0; all others are at least 1.

    Raises:
        ValueError: An integer is too small, a pair is none, or a switch has no such setting.
    """
    for name in (*lists, *pairs):
        setattr(generator, name, tuple(getattr(generator, name)))
    for field in dataclasses.fields(generator):
        value = getattr(generator, field.name)
        least = min(value, default=0) if isinstance(value, tuple) else value
        if field.type in ("int", "tuple[int, ...]") and least < (floor := int(field.name not in may_be_zero)):
            raise ValueError(f"{field.name} is {value}; give at least {floor}")
    check_switches(generator.width, generator.augment)
    for name in pairs:
        if len(getattr(generator, name)) != 2:
            raise ValueError(f"{name} has {len(getattr(generator, name))} values; give one for 2D and one for 3D")


def autoencoder_levels(downsampling: int, patch: int) -> int:
    """Levels of an autoencoder whose finest works on the grid of patches and whose coarsest on that of the latent.

    >>> autoencoder_levels(8, 4), autoencoder_levels(8, 1)
    (2, 4)
    """
    return (downsampling // patch).bit_length()


def check_levels(downsampling: Sequence[int], patch: Sequence[int], channels: Sequence[int]) -> None:
    """Refuse a patch that does not lead to the downsampling in steps of two, or too few channels for the steps.

    Args:
        downsampling: Side of an image divided by side of its latent, in 2D and in 3D.
        patch: Side of the folded patches, in 2D and in 3D.
        channels: Feature channels per level.

    Raises:
        ValueError: See above.
    """
    for whole, part in zip(downsampling, patch, strict=True):
        levels = autoencoder_levels(whole, part)
        if not levels or whole != part << (levels - 1):
            raise ValueError(f"downsampling {whole} is not patch {part} times a power of two")
        if levels > len(channels):
            raise ValueError(f"channels has {len(channels)} levels; patch and downsampling take {levels}")
