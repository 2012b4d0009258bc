"""Copies as generators make them, and as people hide them, in groups: parts, composites, reconstructions, poses.

Every group makes images of all patients in the same way: of training patients they are copies, of
strangers they are what copies must be told from. Parts and composites of a training patient are laid into, or mixed
with, a stranger or a second training patient. The verifier of whole images is taught pasted boxes, blends, blur, noise
and contrast (:mod:`memobench.detection.plant`), in other forms and strengths; every other group only judges it. The
search of regions is taught nothing.

All lengths are shares of the image's longest side, so that a group is equally hard at every size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from memobench.base.errors import UsageError, suggest
from memobench.challenge.perturb import blur, contrast, jpeg, noise
from memobench.challenge.planted_parts import borne, plant_part

Pixels = NDArray[np.float32]
Random = np.random.Generator

COARSENESS = 1 / 8  # standard deviation of the smoothing of an elastic deformation's field
HYBRID = 1 / 32  # standard deviation of the blur that parts low frequencies from high ones
FRAMED = 0.45  # of each side
LUNG = ((-0.04, 0.22), (0.33, 0.17))  # centre from the middle, and half axes, of the ellipse of one lung


@dataclass(frozen=True)
class Material:
    """What a group is made of, N of each.

    Attributes:
        first: (N, *S) images of the patients whose copies are made.
        second: (N, *S) images of other patients of the same side, for composites of two.
        body: (N, *S) images of strangers, who bear parts.
        others: (M, *S) images of still other patients, from whom a reconstruction learns.
    """

    first: Pixels
    second: Pixels
    body: Pixels
    others: Pixels


@dataclass(frozen=True)
class Group:
    """One kind of copy.

    Attributes:
        name: In words.
        kind: region, composite, deformed, reconstruction, combined, pose or overlay.
        make: From the material to (N, *S) images in [0, 1].
        both: Whether both patients are copied.
        dims: Dimensions that it is for.
    """

    name: str
    kind: str
    make: Callable[[Material, Random], Pixels]
    both: bool = False
    dims: tuple[int, ...] = (2, 3)


def groups(dim: int, names: Sequence[str] = ()) -> list[Group]:
    """The groups for images (2) or volumes (3), all or those of some names.

    Raises:
        UsageError: There is no such group.

    >>> len(groups(2)) > 20, [one.name for one in groups(2, ["half"])]
    (True, ['half'])
    """
    known = {one.name: one for one in _all() if dim in one.dims}
    for name in names:
        if name not in known:
            raise UsageError(f'there is no group "{name}"; {suggest(name, known)}')
    return [one for name, one in known.items() if not names or name in names]


def _all() -> Iterator[Group]:
    for share, name in ((1 / 2, "half"), (1 / 4, "quarter"), (1 / 10, "tenth")):
        yield Group(name, "region", _part(share))
    yield Group("one lung", "region", _lung)
    yield Group("halves of two patients", "composite", _halves, both=True)
    yield Group("blend of two patients", "composite", lambda m, random: 0.5 * (m.first + m.second), both=True)
    yield Group("checkerboard with a stranger", "composite", _checkerboard)
    yield Group("low frequencies under a stranger's detail", "composite", _hybrid)
    for pixels in (4, 6):
        yield Group(f"elastic {pixels} of 64", "deformed", _elastic(pixels / 64))
    for factor in (3, 4):
        yield Group(f"{factor}x lower resolution", "reconstruction", _coarse(factor))
    for components in (64, 128):
        yield Group(f"{components} principal components", "reconstruction", _components(components))
    yield Group("blur with noise and contrast", "combined", _combined)
    yield Group("inverted", "pose", lambda m, random: 1 - m.first)
    yield Group("upside down", "pose", lambda m, random: m.first[..., ::-1, :])
    yield Group("turned 90 degrees", "pose", lambda m, random: np.rot90(m.first, 1, axes=(-2, -1)))
    yield Group("turned 45 degrees", "pose", lambda m, random: turned(m.first, 45.0), dims=(2,))
    yield Group("turned 45 degrees and mirrored", "pose", lambda m, random: turned(m.first[..., ::-1], 45.0), dims=(2,))
    yield Group("first axis reversed", "pose", lambda m, random: m.first[:, ::-1], dims=(3,))
    yield Group("first axis last", "pose", lambda m, random: np.moveaxis(m.first, 1, -1), dims=(3,))
    yield Group("framed to 45%", "pose", lambda m, random: framed(m.first, 1 - FRAMED))
    yield Group("text", "overlay", _text)
    yield Group("JPEG 10", "overlay", lambda m, random: jpeg(m.first, 10, random))


def framed(images: Pixels, share: float) -> Pixels:
    """Shrunk within a black frame that takes a share of each side."""
    zoom = [1.0, *[1 / (1 - share)] * (images.ndim - 1)]
    offset = [0.0, *[(side - 1) / 2 * (1 - zoom[1]) for side in images.shape[1:]]]
    made = ndimage.affine_transform(images, np.diag(zoom), offset, order=1, mode="constant", cval=0.0)
    return np.asarray(made, dtype=np.float32)


def coarse(images: Pixels, factor: float) -> Pixels:
    """At a lower resolution and back, by linear interpolation."""
    sizes = [max(2, round(side / factor)) for side in images.shape[1:]]
    # averaged first, as a lower resolution averages
    soft = ndimage.gaussian_filter(images, [0.0, *[factor / 12**0.5] * len(sizes)])
    small = ndimage.zoom(
        soft,
        [1.0, *(new / old for new, old in zip(sizes, images.shape[1:], strict=True))],
        order=1,
        grid_mode=True,
        mode="nearest",
    )
    back = [1.0, *(new / old for new, old in zip(images.shape[1:], small.shape[1:], strict=True))]
    return np.asarray(ndimage.zoom(small, back, order=1, mode="nearest", grid_mode=True), dtype=np.float32)


def elastic(images: Pixels, share: float, random: Random) -> Pixels:
    """Each deformed by a smooth random field whose largest displacement is a share of the longest side."""
    shape = images.shape[1:]
    longest = max(shape)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float64)
    made = []
    for image in images:
        field = np.stack([ndimage.gaussian_filter(random.standard_normal(shape), COARSENESS * longest) for _ in shape])
        field *= share * longest / np.sqrt(np.square(field).sum(axis=0)).max()
        made.append(ndimage.map_coordinates(image, grid + field, order=1, mode="nearest"))
    return np.stack(made).astype(np.float32)


def turned(images: Pixels, degrees: float) -> Pixels:
    """Turned about the centre, black where nothing was."""
    made = ndimage.rotate(images, degrees, axes=(-2, -1), reshape=False, order=1, mode="constant", cval=0.0)
    return np.asarray(made, dtype=np.float32)


def _part(share: float) -> Callable[[Material, Random], Pixels]:
    def make(material: Material, random: Random) -> Pixels:
        pairs = zip(material.first, material.body, strict=True)
        return np.stack([plant_part(np.asarray(first), np.asarray(body), share, random) for first, body in pairs])

    return make


def _lung(material: Material, random: Random) -> Pixels:
    shape = material.first.shape[1:]
    (down, aside), (height, width) = LUNG
    y, x = np.meshgrid(*((np.arange(side) + 0.5) / side - 0.5 for side in shape[-2:]), indexing="ij")
    made = []
    for first, body in zip(material.first, material.body, strict=True):
        side = aside * (1 if random.integers(2) else -1)
        flat = ((y - down) / height) ** 2 + ((x - side) / width) ** 2 <= 1
        made.append(borne(np.asarray(first), np.asarray(body), np.broadcast_to(flat, shape).astype(np.float32), random))
    return np.stack(made)


def _halves(material: Material, random: Random) -> Pixels:
    shape = material.first.shape[1:]
    mask = np.zeros(shape, dtype=np.float32)
    mask[..., : shape[-1] // 2] = 1
    pairs = zip(material.first, material.second, strict=True)
    return np.stack([borne(np.asarray(one), np.asarray(two), mask, random) for one, two in pairs])


def _checkerboard(material: Material, random: Random) -> Pixels:
    shape = material.first.shape[1:]
    square = max(2, max(shape) // 8)
    mask = (np.indices(shape) // square).sum(axis=0) % 2 == 0
    return np.where(mask, material.first, material.body).astype(np.float32)


def _hybrid(material: Material, random: Random) -> Pixels:
    sigma = [0.0, *[HYBRID * max(material.first.shape[1:])] * (material.first.ndim - 1)]
    low, theirs = (ndimage.gaussian_filter(images, sigma) for images in (material.first, material.body))
    made: Pixels = np.clip(low + material.body - theirs, 0, 1).astype(np.float32)
    return made


def _elastic(share: float) -> Callable[[Material, Random], Pixels]:
    return lambda material, random: elastic(material.first, share, random)


def _coarse(factor: int) -> Callable[[Material, Random], Pixels]:
    return lambda material, random: coarse(material.first, factor)


def _components(count: int) -> Callable[[Material, Random], Pixels]:
    def make(material: Material, random: Random) -> Pixels:
        flat = np.asarray(material.others, dtype=np.float64).reshape(len(material.others), -1)
        mean = flat.mean(axis=0)
        directions = np.linalg.svd(flat - mean, full_matrices=False)[2][:count]
        rows = np.asarray(material.first, dtype=np.float64).reshape(len(material.first), -1) - mean
        again = np.clip(mean + (rows @ directions.T) @ directions, 0, 1)
        made: Pixels = again.reshape(material.first.shape).astype(np.float32)
        return made

    return make


def _combined(material: Material, random: Random) -> Pixels:
    return contrast(noise(blur(material.first, 0.016, random), 0.1, random), 1.5, random)


def _text(material: Material, random: Random) -> Pixels:
    """Words burned in: two lines in corners."""
    made = np.array(material.first, dtype=np.float32)
    height, width = made.shape[-2:]
    size = max(6, height // 8)
    for image in made:
        plate = Image.new("L", (width, height))
        draw = ImageDraw.Draw(plate)
        words = f"ID {random.integers(10**6):06d}"
        draw.text((1, 1), words, fill=255, font_size=size)
        draw.text((width // 3, height - size - 3), f"R {random.integers(1, 13):02d}/2031", fill=255, font_size=size)
        image[...] = np.maximum(image, np.asarray(plate, dtype=np.float32) / 255)
    return made
