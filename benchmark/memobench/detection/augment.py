"""Random views of images, as strong as what a generator does to a copy: geometry, intensity, blur, noise, lost parts.

Everything is batched on the device and drawn from one torch generator, in two dimensions and in three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Strength:
    """How far views go.

    Attributes:
        rotation: Largest in-plane rotation in degrees; in 3D the two other axes turn by half as much.
        scale: Largest log2 of the zoom.
        shift: Largest shift as a share of the side.
        flip: Probability of a mirror image (left and right).
        gamma: Largest absolute log of the exponent on intensities.
        contrast: Largest absolute log of the factor on the contrast.
        brightness: Largest change of the mean.
        blur: Largest standard deviation of the blur, as a share of the side.
        noise: Largest standard deviation of the noise.
        cut: Probability that a box is cut out.
    """

    rotation: float = 20.0
    scale: float = 0.3
    shift: float = 0.1
    flip: float = 0.5
    gamma: float = 0.5
    contrast: float = 0.4
    brightness: float = 0.1
    blur: float = 0.03
    noise: float = 0.12
    cut: float = 0.3


def augment(images: Tensor, random: torch.Generator, strength: Strength | None = None) -> Tensor:
    """One random view of each image.

    Args:
        images: (N, 1, *S) in [0, 1].
        random: A generator on the CPU; the only source of randomness.
        strength: How far the views go.

    Returns:
        (N, 1, *S) in [0, 1].
    """
    s = strength or Strength()
    n, dim = len(images), images.ndim - 2

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand((n, *shape), generator=random) * (high - low) + low
        return drawn.to(images.device)

    def column(values: Tensor) -> Tensor:
        return values.reshape(n, *[1] * (dim + 1))

    views = _resample(images, _affine(s, dim, uniform))
    views = views.clamp(1e-4, 1) ** column(torch.exp(uniform(-s.gamma, s.gamma)))
    mean = views.flatten(1).mean(dim=1).reshape(n, *[1] * (dim + 1))
    views = (views - mean) * column(torch.exp(uniform(-s.contrast, s.contrast))) + mean
    views = views + column(uniform(-s.brightness, s.brightness))
    # half of the views are blurred, with standard deviations that favour the small
    sigma = s.blur * images.shape[-1] * uniform(0, 1) ** 2 * (uniform(0, 1) < 0.5)
    views = blur(views, sigma)
    level = s.noise * uniform(0, 1) ** 2 * (uniform(0, 1) < 0.7)
    noise = torch.randn(images.shape, generator=random).to(images.device)
    views = views + column(level) * noise
    return _cut(views, s, uniform).clamp(0, 1)


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Images (N, 1, *S) turned within the plane of their last two axes."""
    turn = math.radians(degrees)
    theta = torch.eye(images.ndim - 2, images.ndim - 1, device=images.device)
    theta[0, 0], theta[0, 1] = math.cos(turn), -math.sin(turn)
    theta[1, 0], theta[1, 1] = math.sin(turn), math.cos(turn)
    return _resample(images, theta.expand(len(images), -1, -1))


def _resample(images: Tensor, theta: Tensor) -> Tensor:
    """Images (N, 1, *S) at the places that affine matrices (N, dim, dim + 1) send them to, borders repeated."""
    sides = torch.tensor(images.shape[:1:-1], device=images.device, dtype=theta.dtype)  # (x, y) or (x, y, z)
    # affine_grid counts each axis from -1 to 1 whatever its length; turns are meant in pixels
    matrix = theta[:, :, :-1] * sides[None, None, :] / sides[None, :, None]
    theta = torch.cat([matrix, theta[:, :, -1:]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of each image by its own standard deviation.

    Args:
        images: (N, 1, *S).
        sigma: (N,) standard deviations in pixels, 0 for none.

    Returns:
        (N, 1, *S). At the borders the kernel is cut off and its rest rescaled, so that constant images stay constant.
    """
    for axis in range(2, images.ndim):
        # One small matrix per image and axis: on a CPU six times faster than a convolution with a kernel per volume.
        places = torch.arange(images.shape[axis], device=images.device, dtype=images.dtype)
        offset = places[:, None] - places[None, :]
        weight = torch.exp(-0.5 * (offset / sigma.clamp(min=1e-3)[:, None, None]) ** 2)  # (N, side, side)
        weight = weight / weight.sum(dim=2, keepdim=True)
        rows = images.movedim(axis, -1)
        blurred = rows.flatten(1, -2) @ weight.transpose(1, 2)
        images = blurred.reshape(rows.shape).movedim(-1, axis)
    return images


def _affine(s: Strength, dim: int, uniform) -> Tensor:  # type: ignore[no-untyped-def]  # a local function
    """Affine matrices (N, dim, dim + 1) from view to image, in units where the image spans [-1, 1]."""
    zoom = torch.exp2(uniform(-s.scale, s.scale))
    mirror = 1 - 2 * (uniform(0, 1) < s.flip).float()
    angle = torch.deg2rad(uniform(-s.rotation, s.rotation))
    n = len(zoom)
    # coordinates are (x, y) or (x, y, z), x the last axis of the image
    matrix = torch.eye(dim, device=zoom.device).repeat(n, 1, 1)
    matrix[:, 0, 0], matrix[:, 0, 1] = torch.cos(angle) * mirror, -torch.sin(angle)
    matrix[:, 1, 0], matrix[:, 1, 1] = torch.sin(angle) * mirror, torch.cos(angle)
    if dim == 3:
        for first, second in ((0, 2), (1, 2)):
            tilt = torch.deg2rad(uniform(-s.rotation / 2, s.rotation / 2))
            turn = torch.eye(3, device=zoom.device).repeat(n, 1, 1)
            turn[:, first, first] = turn[:, second, second] = torch.cos(tilt)
            turn[:, first, second], turn[:, second, first] = -torch.sin(tilt), torch.sin(tilt)
            matrix = matrix @ turn
    shift = uniform(-2 * s.shift, 2 * s.shift, dim)
    return torch.cat([matrix * zoom[:, None, None], shift[:, :, None]], dim=2)


def _cut(images: Tensor, s: Strength, uniform) -> Tensor:  # type: ignore[no-untyped-def]  # a local function
    """Replace a box, a fifth to two fifths of each side, by the image's mean."""
    n, dim = len(images), images.ndim - 2
    inside = (uniform(0, 1) < s.cut).reshape(n, *[1] * (dim + 1))
    for axis, side in enumerate(images.shape[2:]):
        centre, half = uniform(0, side), uniform(0.1 * side, 0.2 * side)
        places = torch.arange(side, device=images.device)
        within = (places[None, :] - centre[:, None]).abs() < half[:, None]  # (N, side)
        shape = [n, 1, *[1] * dim]
        shape[2 + axis] = side
        inside = inside & within.reshape(shape)
    mean = images.flatten(1).mean(dim=1).reshape(n, *[1] * (dim + 1))
    return torch.where(inside, mean, images)
