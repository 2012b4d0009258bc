"""The networks of latent diffusion for images of two or three axes, and how images are brought into their form."""

from __future__ import annotations

import math
from collections.abc import Sequence

from einops import rearrange
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet
from torch import Tensor, nn


def autoencoder(dimensions: int, channels: Sequence[int], latent_channels: int, blocks: int, patch: int) -> nn.Module:
    """A KL autoencoder without attention (Rombach et al., CVPR 2022) over patches of an image.

    Args:
        dimensions: Axes of an image, 2 or 3.
        channels: Feature channels per level, finest first; each level after the first halves the sides.
        latent_channels: Channels of the latent.
        blocks: Residual blocks per level.
        patch: Side of the patches whose pixels are the input channels.

    Returns:
        MONAI's AutoencoderKL with ``patch ** dimensions`` input and output channels.
    """
    net: nn.Module = AutoencoderKL(
        dimensions,
        in_channels=patch**dimensions,
        out_channels=patch**dimensions,
        channels=tuple(channels),
        num_res_blocks=blocks,
        attention_levels=[False] * len(channels),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
        latent_channels=latent_channels,
        norm_num_groups=groups(channels),
    )
    return net


def unet(dimensions: int, width: Sequence[int], latent_channels: int, blocks: int) -> nn.Module:
    """A U-Net over latents, told the time step, with self-attention at its coarsest level (Rombach et al., CVPR 2022).

    Args:
        dimensions: Axes of a latent, 2 or 3.
        width: Feature channels per level, finest first; each level after the first halves the sides.
        latent_channels: Channels of the latent.
        blocks: Residual blocks per level.
    """
    net: nn.Module = DiffusionModelUNet(
        dimensions,
        in_channels=latent_channels,
        out_channels=latent_channels,
        channels=tuple(width),
        num_res_blocks=blocks,
        attention_levels=[False] * (len(width) - 1) + [True],
        num_head_channels=math.gcd(width[-1], 32),
        norm_num_groups=groups(width),
    )
    return net


WIDTHS = {"small": 0.5, "base": 1.0, "large": 2.0}


def scaled(channels: Sequence[int], width: str) -> tuple[int, ...]:
    """Feature channels of a network made narrower or wider, in multiples of four.

    >>> scaled((64, 128), "small")
    (32, 64)
    """
    return tuple(max(4, round(count * WIDTHS[width] / 4) * 4) for count in channels)


def groups(channels: Sequence[int]) -> int:
    """Groups for group normalisation: as many as 32, but at least four channels each where the counts allow it.

    >>> groups((32, 64, 64)), groups((128, 256)), groups((6, 12))
    (8, 32, 1)
    """
    return math.gcd(32, max(1, math.gcd(*channels) // 4))


def to_patches(images: Tensor, patch: int) -> Tensor:
    """Fold patches into channels: (N, 1, *S) to (N, patch^dim, *S / patch), without loss.

    >>> import torch
    >>> to_patches(torch.zeros(1, 1, 8, 8), 2).shape
    torch.Size([1, 4, 4, 4])
    """
    if images.ndim == 4:
        return rearrange(images, "n 1 (h p) (w q) -> n (p q) h w", p=patch, q=patch)
    return rearrange(images, "n 1 (d o) (h p) (w q) -> n (o p q) d h w", o=patch, p=patch, q=patch)


def from_patches(patches: Tensor, patch: int) -> Tensor:
    """Undo :func:`to_patches`.

    >>> import torch
    >>> image = torch.arange(64.0).reshape(1, 1, 4, 4, 4)
    >>> bool((from_patches(to_patches(image, 2), 2) == image).all())
    True
    """
    if patches.ndim == 4:
        return rearrange(patches, "n (p q) h w -> n 1 (h p) (w q)", p=patch, q=patch)
    return rearrange(patches, "n (o p q) d h w -> n 1 (d o) (h p) (w q)", o=patch, p=patch, q=patch)


def pad(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last pixels of each axis until every side is a multiple.

    >>> import torch
    >>> pad(torch.zeros(1, 1, 5, 8), 4).shape
    torch.Size([1, 1, 8, 8])
    """
    sides = images.shape[2:]
    amounts = [amount for side in reversed(sides) for amount in (0, -side % multiple)]
    return nn.functional.pad(images, amounts, mode="replicate")


def crop(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Undo :func:`pad`: the leading part of shape S of each image, (N, 1, *S)."""
    index: tuple[slice, ...] = (slice(None), slice(None), *[slice(side) for side in shape])
    return images[index]
