"""The quality features ``ssl``: what the copy detector's early stages and the image's own bands say of an image.

The detector learns to overlook blur, noise and contrast, so its last layers cannot judge quality. Its first two stages
still see texture and structure, by the mean and the spread of each channel over the image; and as its strided first
filters are nearly blind to fine noise, the energies of a Laplacian pyramid (Burt & Adelson, IEEE Trans. Communications
1983) stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST = 8  # sides below which the pyramid ends
FLOOR = 1e-3  # a quarter of a grey level of 8 bits: blank bands stay finite


def statistics(images: Tensor, stages: Sequence[Tensor]) -> Tensor:
    """Raw features of images, not standardized.

    Args:
        images: (N, 1, *S) in [0, 1].
        stages: Activations (N, C_i, *S_i) of the network's early stages.

    Returns:
        (N, sum of 2 C_i + bands): means and standard deviations of the channels, then the bands' energies.

    >>> statistics(torch.zeros(2, 1, 16, 16), [torch.ones(2, 3, 4, 4)]).shape
    torch.Size([2, 8])
    """
    parts = []
    for stage in stages:
        flat = stage.flatten(2)
        parts += [flat.mean(dim=2), flat.std(dim=2)]
    return torch.cat([*parts, band_energies(images)], dim=1)


def band_energies(images: Tensor) -> Tensor:
    """Log of the root mean square of each band of a Laplacian pyramid, from fine to coarse.

    Args:
        images: (N, 1, *S).

    Returns:
        (N, bands): as many bands as halvings leave each side 8 or more, and at least one.
    """
    mode, pool = ("bilinear", F.avg_pool2d) if images.ndim == 4 else ("trilinear", F.avg_pool3d)
    bands: list[Tensor] = []
    while not bands or min(images.shape[2:]) >= SMALLEST:
        coarse = pool(images, 2)
        fine = images - F.interpolate(coarse, size=images.shape[2:], mode=mode, align_corners=False)
        bands.append(torch.log(fine.flatten(1).square().mean(dim=1).sqrt() + FLOOR))
        images = coarse
    return torch.stack(bands, dim=1)
