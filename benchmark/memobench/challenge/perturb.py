"""What a generator, or a person who hides copies, may do to one: perturbations at three strengths.

The kinds and the range are those of the robustness grid of LCMem (arXiv 2512.14421: noise, blur, rotation, brightness,
contrast, JPEG), with what a copy detector must also tolerate: gamma, shift, crop, mirror image, a blend of two
patients, a region pasted or removed, and in three dimensions a shift through the planes. Weak is barely seen, medium is
plainly seen, strong is the end of that grid, or the point from which on half of the image is another one. All lengths
are shares of the image's side, so that a task is equally hard at every size. What a movement leaves unseen is filled by
repeating the edge: black borders would tell a perturbed image by its frame.

Every function maps (N, *S) images in [0, 1] to new ones, float32 in [0, 1]; S is (height, width) or (depth, height,
width). Signs and places are drawn per image, magnitudes are exactly those given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memobench.base.errors import DataError, UsageError, suggest
from memobench.base.seeds import generator_for

Pixels = NDArray[np.float32]
Random = np.random.Generator

STRENGTHS = ("weak", "medium", "strong")


def noise(images: Pixels, deviation: float, random: Random) -> Pixels:
    """Gaussian noise of a standard deviation in units of the intensity range, clipped."""
    return _clipped(images + deviation * random.standard_normal(images.shape, dtype=np.float32))


def blur(images: Pixels, sigma: float, random: Random) -> Pixels:
    """Gaussian blur; ``sigma`` is a share of each side. It is what a lossy autoencoder does to a copy.

    The kernel is the discrete Gaussian (Lindeberg, PAMI 1990, eq. 19), whose variance is sigma^2 also below half a
    pixel, where samples of the continuous one blur nothing at all.
    """
    from scipy.ndimage import correlate1d
    from scipy.special import ive

    blurred = images
    for axis, side in enumerate(images.shape[1:], start=1):
        variance = (sigma * side) ** 2
        reach = int(np.ceil(5 * sigma * side)) + 2
        kernel = ive(np.abs(np.arange(-reach, reach + 1)), variance)
        blurred = correlate1d(blurred, kernel / kernel.sum(), axis=axis, mode="nearest")
    return _clipped(blurred)


def gamma(images: Pixels, exponent: float, random: Random) -> Pixels:
    """Intensities to the power of ``exponent`` or of its inverse, by a coin: a monotone change, as of exposure."""
    power = exponent ** _signs(random, images)
    return _clipped(images**power)


def contrast(images: Pixels, factor: float, random: Random) -> Pixels:
    """Differences from the image's mean multiplied by ``factor`` or by its inverse, by a coin; clipped."""
    mean = images.mean(axis=tuple(range(1, images.ndim)), keepdims=True)
    return _clipped(mean + (images - mean) * factor ** _signs(random, images))


def brightness(images: Pixels, change: float, random: Random) -> Pixels:
    """All intensities raised or lowered by ``change``, clipped: bright or dark regions are lost for good."""
    return _clipped(images + change * _signs(random, images))


def rotation(images: Pixels, degrees: float, random: Random) -> Pixels:
    """Turned by ``degrees`` either way about the centre, within the plane of the last two axes."""
    turn = np.deg2rad(degrees) * _signs(random, images).ravel()
    dim = images.ndim - 1

    def turned(image: Pixels, angle: float) -> Pixels:
        matrix = np.eye(dim)
        matrix[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        centre = (np.array(image.shape) - 1) / 2
        return _resampled(image, matrix, centre - matrix @ centre)

    return np.stack([turned(image, angle) for image, angle in zip(images, turn, strict=True)])


def shift(images: Pixels, share: float, random: Random) -> Pixels:
    """Moved by ``share`` of the side, either way, along each of the last two axes."""
    return _moved(images, share, random, axes=(-2, -1))


def through_plane_shift(images: Pixels, share: float, random: Random) -> Pixels:
    """Volumes moved by ``share`` of the depth, either way, along the first axis: other slices of the same scan."""
    return _moved(images, share, random, axes=(-3,))


def scale_and_crop(images: Pixels, kept: float, random: Random) -> Pixels:
    """A random box of ``kept`` of each side, enlarged to the whole: the zoom of a field of view placed elsewhere."""
    sides = np.array(images.shape[1:])
    starts = random.random((len(images), len(sides))) * (1 - kept) * sides
    # pixel i of the result covers [i, i + 1) * kept of the box; centres lie half a pixel in
    offsets = starts + 0.5 * kept - 0.5
    matrix = kept * np.eye(len(sides))
    return np.stack([_resampled(image, matrix, offset) for image, offset in zip(images, offsets, strict=True)])


def flip(images: Pixels, level: float, random: Random) -> Pixels:
    """The mirror image, left and right (last axis), of every image; ``level`` is always 1, the share mirrored."""
    return np.ascontiguousarray(images[..., ::-1], dtype=np.float32)


def jpeg(images: Pixels, quality: float, random: Random) -> Pixels:
    """Compressed as an 8-bit grey JPEG of a quality in [1, 100] and read again; volumes slice by slice."""
    slices = np.rint(images * 255).astype(np.uint8).reshape(-1, *images.shape[-2:])
    read = np.empty_like(slices)
    for place, plane in enumerate(slices):
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG", quality=round(quality))
        with Image.open(buffer) as again:
            read[place] = np.asarray(again)
    return read.reshape(images.shape).astype(np.float32) / np.float32(255)


def blend(images: Pixels, weight: float, random: Random, others: Pixels) -> Pixels:
    """The image and another patient's, which has ``weight`` of the sum: a generator's mixture of two patients."""
    return _clipped((1 - weight) * images + weight * others)


def local_edit(images: Pixels, share: float, random: Random, others: Pixels) -> Pixels:
    """A box of ``share`` of each side replaced by another patient's, or removed and filled smoothly, by a coin."""
    if min(images.shape[1:]) < 3:
        raise DataError(f"images of {images.shape[1:]} have no inner region to edit; give sides of 3 at least")
    edited = np.array(images, dtype=np.float32)
    for place in range(len(images)):
        box = []
        for side in images.shape[1:]:
            length = min(max(round(share * side), 1), side - 2)  # a frame stays, from which the box can be filled
            start = int(random.integers(1, side - length))
            box.append(slice(start, start + length))
        where = tuple(box)
        pasted = random.random() < 0.5
        edited[place][where] = others[place][where] if pasted else smooth_fill(edited[place], where)
    return _clipped(edited)


def smooth_fill(image: Pixels, box: tuple[slice, ...]) -> Pixels:
    """A box filled from its rim: along each axis linearly between the two faces, nearer faces weighing more.

    Args:
        image: (*S).
        box: A slice per axis that leaves a pixel outside on either side.

    Returns:
        The box's new content, between the smallest and the largest value on its rim.

    >>> ramp = np.arange(5, dtype=np.float32).repeat(5).reshape(5, 5)
    >>> smooth_fill(ramp, (slice(1, 4), slice(1, 4))).tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
    """
    lengths = [part.stop - part.start for part in box]
    total, weights = np.zeros(lengths), np.zeros(lengths)
    for axis, part in enumerate(box):
        steps = np.arange(1, lengths[axis] + 1, dtype=np.float64)
        steps = steps.reshape([-1 if number == axis else 1 for number in range(image.ndim)])
        for face, distance in ((part.start - 1, steps), (part.stop, lengths[axis] + 1 - steps)):
            rim = image[(*box[:axis], slice(face, face + 1), *box[axis + 1 :])]
            total += rim / distance
            weights += 1 / distance
    return np.asarray(total / weights, dtype=np.float32)


@dataclass(frozen=True)
class Perturbation:
    """One kind of perturbation.

    Attributes:
        function: ``function(images, level, random)``, or with a fourth argument, other patients' images.
        levels: The argument ``level`` of each strength, in the unit that the function's docstring names.
        blends: Whether it needs images of other patients.
        dims: The numbers of axes of the images that it is for.
    """

    function: Callable[..., Pixels]
    levels: Mapping[str, float]
    blends: bool = False
    dims: tuple[int, ...] = (2, 3)


def _levels(*values: float) -> Mapping[str, float]:
    return MappingProxyType(dict(zip(STRENGTHS, values, strict=True)))


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "noise": Perturbation(noise, _levels(0.03, 0.1, 0.3)),
        "blur": Perturbation(blur, _levels(0.008, 0.016, 0.031)),  # 2, 4 and 8 pixels of 256
        "gamma": Perturbation(gamma, _levels(1.25, 1.6, 2.5)),
        "contrast": Perturbation(contrast, _levels(1.2, 1.5, 2.0)),
        "brightness": Perturbation(brightness, _levels(0.05, 0.15, 0.3)),
        "rotation": Perturbation(rotation, _levels(5.0, 15.0, 30.0)),
        "shift": Perturbation(shift, _levels(0.03, 0.08, 0.15)),
        "scale_and_crop": Perturbation(scale_and_crop, _levels(0.9, 0.8, 0.65)),
        "flip": Perturbation(flip, _levels(1.0, 1.0, 1.0)),
        "jpeg": Perturbation(jpeg, _levels(80, 40, 10)),
        "blend": Perturbation(blend, _levels(0.15, 0.3, 0.5), blends=True),
        "local_edit": Perturbation(local_edit, _levels(0.2, 0.3, 0.45), blends=True),
        "through_plane_shift": Perturbation(through_plane_shift, _levels(0.03, 0.06, 0.12), dims=(3,)),
    }
)


def perturbations_for(dim: int) -> tuple[str, ...]:
    """The perturbations of images with ``dim`` axes, 2 or 3.

    >>> len(perturbations_for(2)), len(perturbations_for(3))
    (12, 13)
    """
    return tuple(name for name, kind in PERTURBATIONS.items() if dim in kind.dims)


def perturb(images: Pixels, name: str, strength: str = "medium", *, seed: int, others: Pixels | None = None) -> Pixels:
    """Images under one perturbation.

    Args:
        images: (N, *S) in [0, 1]; not changed.
        name: A name in :data:`PERTURBATIONS`.
        strength: "weak", "medium" or "strong". Signs and places are the same at every strength.
        seed: The only source of randomness.
        others: (N, *S) an image of another patient for each, for the perturbations that mix two patients.

    Returns:
        (N, *S) float32 in [0, 1].

    Raises:
        UsageError: No such perturbation or strength.
        DataError: The perturbation is not for images of this dimension, or needs ``others`` of the same shape.

    >>> perturb(np.zeros((2, 8, 8), np.float32), "brightness", "strong", seed=0).max() <= np.float32(0.3)
    np.True_
    """
    if name not in PERTURBATIONS:
        raise UsageError(f'unknown perturbation "{name}"; {suggest(name, PERTURBATIONS)}')
    kind = PERTURBATIONS[name]
    if strength not in kind.levels:
        raise UsageError(f'unknown strength "{strength}"; {suggest(strength, STRENGTHS)}')
    dim = images.ndim - 1
    if dim not in kind.dims:
        raise DataError(f'perturbation "{name}" is for {kind.dims[0]}D images, not {dim}D; leave it out')
    random = generator_for(seed, "perturb", name)
    if not len(images):
        return np.array(images, dtype=np.float32)
    images = np.asarray(images, dtype=np.float32)
    if not kind.blends:
        return kind.function(images, kind.levels[strength], random)
    if others is None or others.shape != images.shape:
        shape = None if others is None else others.shape
        raise DataError(
            f'perturbation "{name}" mixes two patients: give an image of another patient for each, '
            f"of shape {images.shape}, not {shape}"
        )
    return kind.function(images, kind.levels[strength], random, np.asarray(others, dtype=np.float32))


def _signs(random: Random, images: Pixels) -> Pixels:
    """+1 or -1 for each image, (N, 1, ..., 1)."""
    signs = random.integers(0, 2, size=len(images)) * 2 - 1
    return signs.astype(np.float32).reshape(-1, *[1] * (images.ndim - 1))


def _moved(images: Pixels, share: float, random: Random, axes: tuple[int, ...]) -> Pixels:
    steps = np.zeros((len(images), images.ndim - 1))
    for axis in axes:
        steps[:, axis] = _signs(random, images).ravel() * share * images.shape[axis]
    still = np.eye(images.ndim - 1)
    return np.stack([_resampled(image, still, step) for image, step in zip(images, steps, strict=True)])


def _resampled(image: Pixels, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Pixels:
    """The image read at matrix @ place + offset for each place, linearly, edges repeated."""
    from scipy.ndimage import affine_transform

    return _clipped(affine_transform(image, matrix, offset, order=1, mode="nearest"))


def _clipped(images: NDArray[np.floating]) -> Pixels:
    clipped: Pixels = np.clip(images, 0, 1, dtype=np.float32, casting="unsafe")
    return clipped
