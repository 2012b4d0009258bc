"""Distances from points to simple solids: what the knee is painted with, wherever its points lie.

Lengths are in millimetres. Only operations that every platform rounds in the same way are used (see ``arithmetic``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic
from memobench.data.phantom.random import Numbers, Stream
from memobench.data.phantom.shapes import Floats

Place = tuple[float, float, float]
OUTSIDE = 1e3  # mm; the distance given, once for all, where a solid lies beside all points
MARGIN = 10.0  # mm; more than any seam or coating is wide


@dataclass(frozen=True)
class Points:
    """Points (N,) in each coordinate, with the width in mm over which edges fade."""

    x: Floats
    y: Floats
    z: Floats
    edge: float

    def ellipsoid(self, centre: Place, radii: Place) -> Floats:
        """About the distance beyond an ellipsoid's surface, negative inside: k (k - 1) / |grad k| of its norm k."""
        if self._beside(centre[0], centre[0], radii[0]):
            return np.array(OUTSIDE)
        a, b, c = (self.x - centre[0]) / radii[0], (self.y - centre[1]) / radii[1], (self.z - centre[2]) / radii[2]
        return _to_surface(a * a + b * b + c * c, ((a, radii[0]), (b, radii[1]), (c, radii[2])))

    def column(self, centre_x: Floats | float, centre_z: Floats, half_x: Floats, half_z: Floats) -> Floats:
        """About the distance beyond an upright column with an elliptic slice at every height, negative inside."""
        a, c = (self.x - centre_x) / half_x, (self.z - centre_z) / half_z
        return _to_surface(a * a + c * c, ((a, half_x), (c, half_z)))

    def tube(self, start: Place, end: Place, first: float, last: float, flat: float = 1.0) -> Floats:
        """Distance beyond a tube with round ends.

        Args:
            start: One end of its axis.
            end: The other.
            first: Radius at the start.
            last: Radius at the end.
            flat: How many times wider than deep it is, along x.
        """
        if self._beside(min(start[0], end[0]), max(start[0], end[0]), flat * max(first, last)):
            return np.array(OUTSIDE)
        dx, dy, dz = (end[0] - start[0]) / flat, end[1] - start[1], end[2] - start[2]
        length = dx * dx + dy * dy + dz * dz
        a, b, c = (self.x - start[0]) * (1.0 / flat), self.y - start[1], self.z - start[2]
        t = np.clip(a * (dx / length) + b * (dy / length) + c * (dz / length), 0.0, 1.0)
        a, b, c = a - t * dx, b - t * dy, c - t * dz
        distance: Floats = np.sqrt(a * a + b * b + c * c) - (t * (last - first) + first)
        return distance

    def inside(self, distance: Floats) -> Floats:
        """1 inside, 0 outside, fading over the edge's width."""
        x = np.minimum(np.maximum(0.5 - distance * (1.0 / self.edge), 0.0), 1.0)
        share: Floats = x * x * (3.0 - 2.0 * x)
        return share

    def band(self, distance: Floats, half: float) -> Floats:
        """How much of each point a sheet of half that thickness takes; one thinner than the edge never fills it."""
        return self.inside(distance - half) - self.inside(distance + half)

    def turned(self, angle: float) -> Points:
        """The points in a frame that is turned about the x axis (flexion)."""
        cosine, sine = cosine_and_sine(angle)
        return Points(self.x, cosine * self.y - sine * self.z, sine * self.y + cosine * self.z, self.edge)

    def take(self, chosen: NDArray[np.bool_]) -> Points:
        """Some of the points."""
        return Points(self.x[chosen], self.y[chosen], self.z[chosen], self.edge)

    @cached_property
    def range_x(self) -> tuple[float, float]:
        """The smallest and the largest x."""
        return float(self.x.min()), float(self.x.max())

    def _beside(self, low: float, high: float, reach: float) -> bool:
        """Whether a solid lies so far to one side that no point is near."""
        first, last = self.range_x
        near = reach + self.edge + MARGIN
        return low - near > last or high + near < first


def _to_surface(square: Floats, parts: tuple[tuple[Floats, Floats | float], ...]) -> Floats:
    norm = np.sqrt(square + 1e-6)  # away from 0, where the gradient has no direction
    slope = np.full(square.shape, 1e-12)
    for share, radius in parts:
        ratio = share / radius
        slope = slope + ratio * ratio
    distance: Floats = norm * (norm - 1.0) / np.sqrt(slope)
    return distance


def smooth_union(first: Floats, second: Floats, width: float) -> Floats:
    """The nearer of two surfaces, their seam rounded over a width in mm.

    >>> smooth_union(np.array([0.0, 0.0]), np.array([9.0, 0.0]), 4.0).tolist()
    [0.0, -1.0]
    """
    h = np.clip((second - first) * (0.5 / width) + 0.5, 0.0, 1.0)
    blended: Floats = second + (first - second) * h - h * (1.0 - h) * width
    return blended


@lru_cache(maxsize=64)
def cosine_and_sine(angle: float) -> tuple[float, float]:
    """Of one angle in radians."""
    both = np.array([angle])
    return float(arithmetic.cos(both)[0]), float(arithmetic.sin(both)[0])


def ripples(stream: Stream, points: Points, count: int, shortest: float, longest: float, along: float = 1.0) -> Floats:
    """A smooth random field of about unit spread: plane waves of random direction, phase and length.

    A wave is made of parabolas, which differ from a sine by 6% and take a fifth of the time.

    Args:
        stream: Randomness.
        points: Where, (N,).
        count: How many waves.
        shortest: Smallest wave length in mm.
        longest: Largest.
        along: Below 1 the field is drawn out along y, as the fibres of a muscle are.
    """
    numbers = Numbers(stream, 4 * count)
    total = np.zeros(points.x.shape)
    for _ in range(count):
        a, b, c = numbers.normal(), numbers.normal() * along, numbers.normal()
        pace = 1.0 / (numbers.uniform(shortest, longest) * max(sqrt(a * a + b * b + c * c), 1e-3))
        turns = points.x * (a * pace) + points.y * (b * pace) + points.z * (c * pace) + numbers.uniform()
        turns = turns - np.rint(turns)  # [-1/2, 1/2]
        total = total + turns * (0.5 - np.abs(turns))
    scaled: Floats = total * (16.0 / sqrt(count * 8.0 / 15.0))  # a peak is 1/16, its mean square 8/15 of the peak's
    return scaled
