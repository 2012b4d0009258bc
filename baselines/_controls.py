"""What the controls share: new patients' images, drawn evenly; the perturbation of a copy; draws of a Gaussian."""

from __future__ import annotations

import numpy as np
from memobench.base.errors import MemobenchError
from memobench.generator import Context
from numpy.typing import NDArray
from scipy import ndimage


def new_patients(context: Context) -> NDArray[np.float32]:
    """The images of new patients that a control was given, (F, *S).

    Raises:
        MemobenchError: The context has none.
    """
    if context.fresh is None or not len(context.fresh):
        raise MemobenchError("this control needs images of new patients; fit it with context.fresh")
    return np.array(context.fresh.pixels)


def evenly(images: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """N images in random order, each once before any comes again."""
    rounds = [rng.permutation(len(images)) for _ in range(-(-n // len(images)))]
    return images[np.concatenate([*rounds, np.zeros(0, dtype=np.int64)])[:n].astype(np.int64)]


def perturb(image: NDArray[np.float32], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """One image (H, W) or (D, H, W) as a generator might reproduce it.

    At strength 1: in-plane rotation with sd 2 degrees, scale with sd 2%, shift with sd 1.5% of the side, gamma with
    log-sd 0.1, blur up to 0.8 pixels, noise with sd 0.02.
    """
    angle = np.deg2rad(2.0 * strength * rng.standard_normal())
    zoom = np.exp(0.02 * strength * rng.standard_normal())
    gamma = np.exp(0.1 * strength * rng.standard_normal())
    shift = 0.015 * strength * rng.standard_normal(image.ndim) * image.shape  # (dim,)
    blur = 0.8 * strength * rng.random()
    noise = 0.02 * strength * rng.standard_normal(image.shape)
    matrix = np.eye(image.ndim) / zoom
    matrix[-2:, -2:] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ (centre + shift)
    moved = ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest") if strength else image
    blurred = ndimage.gaussian_filter(np.clip(moved, 0, 1) ** gamma, blur) if strength else image
    return np.clip(blurred + noise, 0, 1).astype(np.float32)


def gaussian_images(mean: NDArray[np.float32], modes: NDArray[np.float32], n: int, *, seed: int) -> NDArray[np.float32]:
    """Draw n images mean + sum_k c_k mode_k with c ~ N(0, 1), (n, *S) clipped to [0, 1].

    Args:
        mean: (*S)
        modes: (K, *S), each as long as its standard deviation.
        n: How many.
        seed: Seed of the draw.
    """
    scores = np.random.default_rng(seed).standard_normal((n, len(modes)), dtype=np.float32)  # (n, K)
    clipped: NDArray[np.float32] = np.clip(mean + np.tensordot(scores, modes, axes=1), 0, 1)
    return clipped
