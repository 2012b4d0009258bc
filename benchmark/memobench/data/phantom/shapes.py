"""Building blocks of the phantom: profiles, solids of elliptic slices, tubes, branching trees, smooth random fields.

Lengths are in millimetres. Only operations that round in the same way on every platform are used (see ``arithmetic``):
no BLAS, no ``einsum``, no sums of floats but in a fixed order, no ``np.interp`` (a compiler may fuse its multiply and
add).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic
from memobench.data.phantom.random import Stream

Floats = arithmetic.Array


def lerp(x: Floats, knots: Sequence[float], values: Sequence[float]) -> Floats:
    """Piecewise linear interpolation through rising knots, constant outside of them.

    >>> lerp(np.array([-1.0, 0.5, 3.0]), [0.0, 1.0], [2.0, 4.0]).tolist()
    [2.0, 3.0, 4.0]
    """
    out = np.full(x.shape, values[0], dtype=np.float64)
    for k in range(len(knots) - 1):
        share = arithmetic.clip((x - knots[k]) / (knots[k + 1] - knots[k]), 0.0, 1.0)
        share *= values[k + 1] - values[k]
        out += share
    return out


class Profiles:
    """Several smooth functions of one variable, through values at evenly spaced knots (Catmull and Rom's cubics).

    Args:
        values: (functions, knots) values.
        start: Position of the first knot.
        step: Distance between knots.

    >>> Profiles(np.array([[0.0, 1.0, 2.0, 3.0]]), 0.0, 1.0)(np.array([0.5, 2.0])).tolist()
    [[0.4375, 2.0]]
    """

    def __init__(self, values: Floats, start: float, step: float) -> None:
        padded = np.concatenate([values[:, :1], values, values[:, -1:]], axis=1)
        before, here, after, last = padded[:, :-3], padded[:, 1:-2], padded[:, 2:-1], padded[:, 3:]
        first = (after - before) * 0.5
        second = before - here * 2.5 + after * 2.0 - last * 0.5
        third = (last - before) * 0.5 + (here - after) * 1.5
        self._terms = (here, first, second, third)
        self._start, self._step = start, step

    def __call__(self, x: Floats) -> Floats:
        """Values (functions, *x.shape) at x, clamped to the first and last knot."""
        cells = self._terms[0].shape[1]
        position = arithmetic.clip((x - self._start) / self._step, 0.0, cells)
        cell = np.minimum(np.floor(position), cells - 1)
        share = position - cell
        index = cell.astype(np.intp)
        zeroth, first, second, third = (term.take(index, axis=1) for term in self._terms)
        values: Floats = ((third * share + second) * share + first) * share + zeroth
        return values


def crossing(along: Floats, turn: tuple[float, float], slices: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Where horizontal rays enter and leave a solid that has an elliptic slice at every height.

    The ray is (x, z) = along * (c, s) + t * (-s, c) with turn = (c, s), and the slice ((x - cx) / a)^2 +
    ((z - cz) / b)^2 < 1. With p = along c - cx and q = along s - cz the quadratic A t^2 + 2 B t + C = 0 has
    A = s^2 / a^2 + c^2 / b^2, B = q c / b^2 - p s / a^2, C = p^2 / a^2 + q^2 / b^2 - 1.

    Args:
        along: (...) position across the beam.
        turn: Cosine and sine of the rotation about the vertical axis.
        slices: cx, cz, a, b at each ray's height, each broadcast to ``along``; a solid ends where a is 0.

    Returns:
        t of entry and exit; both are the same number where the ray misses.
    """
    cosine, sine = turn
    cx, cz, a, b = slices
    a, b = np.maximum(a, 0.01), np.maximum(b, 0.01)
    inverse_a, inverse_b = 1.0 / (a * a), 1.0 / (b * b)
    p = along * cosine - cx
    q = along * sine - cz
    square = inverse_a * (sine * sine) + inverse_b * (cosine * cosine)
    linear = q * cosine * inverse_b - p * sine * inverse_a
    constant = p * p * inverse_a
    constant += q * q * inverse_b
    constant -= 1.0
    constant *= square
    half = linear * linear
    half -= constant
    np.sqrt(np.maximum(half, 0.0, out=half), out=half)
    half /= square
    middle = -linear / square
    return middle - half, middle + half


def remaining(inside: tuple[Floats, Floats], removed: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Length of an interval that a union of others leaves, by a sweep over them in the order of their starts.

    >>> interval = lambda a, b: (np.array([a]), np.array([b]))
    >>> remaining(interval(0.0, 10.0), [interval(2.0, 4.0), interval(3.0, 5.0), interval(9.0, 20.0)]).tolist()
    [6.0]
    """
    whole = inside[1] - inside[0]
    there = np.nonzero(whole.reshape(-1) > 0)[0]  # often a small part
    low, high = (end.reshape(-1)[there] for end in inside)
    starts, ends = (
        np.stack([arithmetic.clip(pair[k].reshape(-1)[there], low, high) for pair in removed]) for k in (0, 1)
    )
    order = np.argsort(starts, axis=0, kind="stable")
    starts, ends = np.take_along_axis(starts, order, axis=0), np.take_along_axis(ends, order, axis=0)
    reached, left = low, high - low
    for start, end in zip(starts, ends, strict=True):
        left = left - np.maximum(end - np.maximum(start, reached), 0.0)
        reached = np.maximum(reached, end)
    out = np.zeros(whole.size)
    out[there] = left
    return out.reshape(whole.shape)


@dataclass(frozen=True)
class Tubes:
    """Straight pieces of hollow rods.

    Attributes:
        start: (n, 3) x, y, z of one end.
        end: (n, 3) of the other.
        radius: (n,) outer radius.
        hollow: (n,) radius of the core, below ``radius``.
        shell: (n,) attenuation of the shell, or any other density.
        core: (n,) that of the core.
    """

    start: Floats
    end: Floats
    radius: Floats
    hollow: Floats
    shell: Floats
    core: Floats

    @staticmethod
    def solid(start: Floats, end: Floats, radius: Floats | float, density: float) -> Tubes:
        """Tubes of one material."""
        count = len(start)
        radii = np.full(count, radius, dtype=np.float64)
        return Tubes(start, end, radii, radii * 0.5, np.full(count, density), np.full(count, density))

    @staticmethod
    def along(points: Floats, radius: Floats | float, shell: float, core: float, thickness: float) -> Tubes:
        """A chain of tubes through points (n, 3), with a shell of the given thickness."""
        count = len(points) - 1
        radii = np.full(count, radius, dtype=np.float64)
        hollow = np.maximum(radii - thickness, radii * 0.1)
        return Tubes(points[:-1], points[1:], radii, hollow, np.full(count, shell), np.full(count, core))

    @staticmethod
    def join(parts: Sequence[Tubes]) -> Tubes:
        """All tubes of several sets."""
        names = ("start", "end", "radius", "hollow", "shell", "core")
        return Tubes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, chosen: NDArray[np.generic]) -> Tubes:
        """The tubes at an index or where a mask is true."""
        return Tubes(
            self.start[chosen],
            self.end[chosen],
            self.radius[chosen],
            self.hollow[chosen],
            self.shell[chosen],
            self.core[chosen],
        )

    def moved(self, start: Floats, end: Floats) -> Tubes:
        """The same tubes elsewhere."""
        return replace(self, start=start, end=end)


def project(tubes: Tubes, size: int, pixel: float) -> Floats:
    """Line integrals through tubes along z, on a (size, size) image.

    Tubes lie in image coordinates already: x to the right and y down from the image's upper left corner, in mm.
    Across a tube the integral is the chord 2 sqrt(r^2 - d^2), times the tube's length over its projected length.
    Tubes thinner than a pixel are widened to it and thinned in proportion, so that their mass stays.

    Args:
        tubes: What to draw.
        size: Image side in pixels.
        pixel: Side of a pixel in mm.
    """
    image = np.zeros((size, size))
    delta = (tubes.end - tubes.start) / pixel
    flat = np.sqrt(delta[:, 0] * delta[:, 0] + delta[:, 1] * delta[:, 1])
    length = np.sqrt(flat * flat + delta[:, 2] * delta[:, 2])
    direction_x = np.where(flat > 1e-6, delta[:, 0] / np.maximum(flat, 1e-6), 1.0)
    direction_y = np.where(flat > 1e-6, delta[:, 1] / np.maximum(flat, 1e-6), 0.0)
    radius, hollow = tubes.radius / pixel, tubes.hollow / pixel
    outer = np.sqrt(radius * radius + 0.3)  # 0.3: variance-like width of a pixel, in pixels squared
    inner = np.sqrt(hollow * hollow + 0.3 * (hollow / np.maximum(radius, 1e-9)))
    thin_outer = (radius * radius) / (outer * outer)
    thin_inner = (hollow * hollow) / np.maximum(inner * inner, 1e-12)
    half = np.maximum(flat * 0.5, np.minimum(radius * 0.8, length * 0.5))
    half = np.maximum(half, 0.5)
    gain = length / (2.0 * half) * (2.0 * pixel)
    shell = gain * tubes.shell * thin_outer
    core = gain * (tubes.core - tubes.shell) * thin_inner
    middle_x = (tubes.start[:, 0] + tubes.end[:, 0]) * (0.5 / pixel) - 0.5
    middle_y = (tubes.start[:, 1] + tubes.end[:, 1]) * (0.5 / pixel) - 0.5
    reach = half + outer + 1.0
    seen = (middle_x > -reach) & (middle_x < size + reach) & (middle_y > -reach) & (middle_y < size + reach)
    window = np.where(seen, np.ceil(reach * 0.5).astype(np.int64) * 2, 0)

    # scan lines: one for each tube and each of the image's rows that it may touch
    corner_x, corner_y = np.rint(middle_x).astype(np.int64), np.rint(middle_y).astype(np.int64)
    top, bottom = np.maximum(corner_y - window, 0), np.minimum(corner_y + window, size - 1)
    tube, row = _ragged(top, np.where(seen, np.maximum(bottom - top + 1, 0), 0))
    dy, ux, uy = row - middle_y[tube], direction_x[tube], direction_y[tube]
    left, right = _between(dy * ux, uy, outer[tube])
    first, last = _between(-dy * uy, ux, half[tube] + 0.5)
    left = np.maximum(np.maximum(left, first), corner_x[tube] - window[tube] - middle_x[tube])
    right = np.minimum(np.minimum(right, last), corner_x[tube] + window[tube] - middle_x[tube])
    # a pixel to spare at both ends, where rounding might have lost one; beside the tube nothing is added
    start = arithmetic.clip(np.floor(left + middle_x[tube]) - 1.0, 0.0, size).astype(np.int64)
    stop = np.maximum(np.minimum(np.ceil(right + middle_x[tube]) + 2.0, size), start).astype(np.int64)
    line, column = _ragged(start, stop - start)
    tube, row, dy = tube[line], row[line], dy[line]
    dx = column - middle_x[tube]

    across = dx * direction_y[tube] - dy * direction_x[tube]
    square = across * across
    value = np.sqrt(np.maximum((outer * outer)[tube] - square, 0.0)) * shell[tube]
    cored = np.nonzero(core[tube])[0]  # most tubes are solid
    if len(cored):
        n = tube[cored]
        value[cored] += core[n] * np.sqrt(np.maximum((inner * inner)[n] - square[cored], 0.0))
    forward = dx * direction_x[tube] + dy * direction_y[tube]
    value *= np.minimum(np.maximum(half[tube] + 0.5 - np.abs(forward), 0.0), 1.0)
    # summed by size of the window, then over the sizes; bincount adds in the order of its input
    sides, group = np.unique(window, return_inverse=True)
    place = (group.reshape(-1)[tube] * size + row) * size + column
    sums = np.bincount(place, weights=value, minlength=len(sides) * size * size).reshape(-1, size, size)
    for of_side in sums:
        image = image + of_side
    return image


def _ragged(first: NDArray[np.int64], count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of whole numbers: which run each belongs to, and the number.

    >>> [part.tolist() for part in _ragged(np.array([5, 0]), np.array([2, 1]))]
    [[0, 0, 1], [5, 6, 0]]
    """
    owner = np.repeat(np.arange(len(first)), count)
    begin = np.searchsorted(owner, np.arange(len(first)))
    return owner, np.arange(len(owner)) + (first - begin)[owner]


def _between(middle: Floats, slope: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """The interval of x where abs(slope * x - middle) <= reach; without end where the slope is nearly 0."""
    steep = np.where(np.abs(slope) > 1e-6, slope, 1.0)
    a, b = (middle - reach) / steep, (middle + reach) / steep
    flat = np.abs(slope) <= 1e-6
    return np.where(flat, -np.inf, np.minimum(a, b)), np.where(flat, np.inf, np.maximum(a, b))


def fill(tubes: Tubes, axes: tuple[Floats, Floats, Floats], blur: float) -> tuple[Floats, Floats]:
    """How much of each voxel lies in the tubes' shells and cores.

    Args:
        tubes: What to draw; where several overlap, the fullest counts.
        axes: Positions of the voxels along x, y, z, each rising evenly (one position is allowed).
        blur: Half the width of the soft edge, in mm.

    Returns:
        Two arrays (len(y), len(z), len(x)) of shares in [0, 1]: the whole tube, and its core.
    """
    shape = tuple(len(axes[k]) for k in (1, 2, 0))
    whole, core = np.zeros(shape), np.zeros(shape)
    reach = tubes.radius + 2.0 * blur
    low = np.minimum(tubes.start, tubes.end) - reach[:, None]
    high = np.maximum(tubes.start, tubes.end) + reach[:, None]
    first = np.stack([np.searchsorted(axes[k], low[:, k]) for k in range(3)], axis=1)
    last = np.stack([np.searchsorted(axes[k], high[:, k]) for k in range(3)], axis=1)
    near = (first < last)[:, 0] & (first < last)[:, 1] & (first < last)[:, 2]
    edge = 0.5 / blur
    for n in np.nonzero(near)[0].tolist():
        (x0, y0, z0), (x1, y1, z1) = first[n].tolist(), last[n].tolist()
        sx, sy, sz = tubes.start[n].tolist()
        ex, ey, ez = tubes.end[n].tolist()
        dx, dy, dz = ex - sx, ey - sy, ez - sz
        length = max(dx * dx + dy * dy + dz * dz, 1e-9)
        px = (axes[0][x0:x1] - sx)[None, None, :]
        py = (axes[1][y0:y1] - sy)[:, None, None]
        pz = (axes[2][z0:z1] - sz)[None, :, None]
        t = arithmetic.clip((px * (dx / length) + py * (dy / length)) + pz * (dz / length), 0.0, 1.0)
        px, py, pz = px - t * dx, py - t * dy, pz - t * dz
        distance = np.sqrt(px * px + py * py + pz * pz)
        # a tube thinner than the edge never fills a voxel
        radius, hollow = float(tubes.radius[n]), float(tubes.hollow[n])
        window = (slice(y0, y1), slice(z0, z1), slice(x0, x1))
        share = arithmetic.clip((radius - distance) * edge + 0.5, 0.0, 1.0)
        whole[window] = np.maximum(whole[window], share * min(1.0, radius * edge + 0.5))
        if tubes.core[n] != tubes.shell[n]:
            core[window] = np.maximum(core[window], arithmetic.clip((hollow - distance) * edge + 0.5, 0.0, 1.0))
    return whole, core


def grow(  # noqa: PLR0913  the numbers of a tree
    stream: Stream, roots: Floats, directions: Floats, *, length: float, radius: float, generations: int, spread: float
) -> Tubes:
    """A tree that forks in two at every generation, with density 1.

    Args:
        stream: Randomness; a tree with fewer generations is the beginning of one with more.
        roots: (n, 3) where the first generation starts.
        directions: (n, 3) unit vectors.
        length: Of the first generation's tubes.
        radius: Of the first generation's tubes; each fork has 0.77 of it, so that the square halves nearly.
        generations: How many.
        spread: Sideways share of a fork's direction, about the sine of its angle.
    """
    starts, heading = roots, directions
    out: list[Tubes] = []
    for _ in range(generations):
        count = len(starts)
        wobble = stream.uniforms((count, 7), -1.7320508, 1.7320508)  # of variance 1
        own = length * arithmetic.clip(1.0 + 0.3 * wobble[:, :1], 0.4, 1.8)
        ends = starts + heading * own
        radii = radius * arithmetic.clip(1.0 + 0.15 * wobble[:, 1], 0.6, 1.5)
        out.append(Tubes.solid(starts, ends, radii, 1.0))
        side = unit(cross(heading, wobble[:, 2:5]))
        tilt = spread * arithmetic.clip(1.0 + 0.4 * wobble[:, 5:7], 0.2, 2.0)
        left, right = unit(heading + side * tilt[:, :1]), unit(heading - side * tilt[:, 1:])
        starts, heading = np.concatenate([ends, ends]), np.concatenate([left, right])
        length, radius = length * 0.83, radius * 0.77
    return Tubes.join(out)


def unit(vectors: Floats) -> Floats:
    """Vectors (n, 3) at length 1.

    >>> unit(np.array([[3.0, 0.0, 4.0]])).tolist()
    [[0.6, 0.0, 0.8]]
    """
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return vectors / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None]


def cross(a: Floats, b: Floats) -> Floats:
    """Vector product of rows (n, 3)."""
    x = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    y = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    z = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return np.stack([x, y, z], axis=1)


def stretch(lattice: Floats, positions: Sequence[Floats]) -> Floats:
    """Read a lattice at positions along each of its axes (a product grid), with smooth steps between its points.

    Args:
        lattice: Values at whole positions.
        positions: For each axis, where to read, in lattice steps; clamped to the lattice.

    >>> stretch(np.array([0.0, 1.0]), [np.array([0.0, 0.5, 1.0])]).tolist()
    [0.0, 0.5, 1.0]
    """
    out = lattice
    for axis, position in enumerate(positions):
        place = np.minimum(np.maximum(position, 0.0), lattice.shape[axis] - 1.0)
        cell = np.minimum(np.floor(place), lattice.shape[axis] - 2.0)
        index = cell.astype(np.intp)
        share = arithmetic.smooth_step(place - cell).reshape([-1 if a == axis else 1 for a in range(lattice.ndim)])
        first = out.take(index, axis=axis)
        out = first + (out.take(index + 1, axis=axis) - first) * share
    return out
