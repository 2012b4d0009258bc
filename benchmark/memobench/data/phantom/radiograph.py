"""Frontal chest radiographs of the phantom: line integrals through the torso, detector and display.

Beer and Lambert's law I = exp(-integral of mu along the ray) with parallel rays; the integral is closed-form in every
primitive. Then scatter (a wide blur of the primary image), quantum noise, the logarithm, window, tone curve, edge
enhancement, collimation and lettering, each with the scan's own values. Deterministic to the byte on every platform
from (version, seed, patient, scan, size): see ``arithmetic`` for what may be used here. Sizes of one scan differ only
in their sampling and their pixel noise, which has a stream of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic, bones, devices, torso
from memobench.data.phantom.random import Numbers, Stream
from memobench.data.phantom.shapes import Floats, Tubes, crossing, project, remaining, stretch

VERSION = "1"
WATER = 0.0178  # attenuation of soft tissue at 120 kVp, 1/mm


@dataclass(frozen=True)
class Exposure:
    """What differs between two radiographs of one patient."""

    field: float  # side of the image in the patient, mm
    shift_x: float
    shift_y: float
    turn: float  # about the body's axis, radians
    roll: float  # in the image plane, radians
    tilt: float  # towards the feet, as a slope
    inspiration: float
    heart: float  # magnification of the heart (higher when the beam comes from the front)
    scatter: float
    noise: float
    dark: float  # where black lies
    bright: float  # where white lies
    gamma: float
    enhance: float  # share of the coarse image that is taken away
    focus: float  # blur, mm
    letter: int
    letter_x: float
    letter_y: float
    border: int  # bits: left, right, top, bottom edges are shut
    border_width: float
    border_white: bool


def exposure(patient: int, scan: int, seed: int = 0) -> Exposure:
    """Draw pose and technique of a scan; what a patient's scans share is drawn with the patient."""
    s = Numbers(Stream("radiograph", VERSION, seed, patient, scan), 48)
    bedside = Stream("radiograph habit", VERSION, seed, patient).chance(0.3)
    n, u = s.normal, s.uniform
    wide = 1.5 if bedside else 1.0
    return Exposure(
        field=n(358.0 if not bedside else 345.0, 27.0 * wide, 285.0, 480.0),
        shift_x=n(0.0, 10.0 * wide),
        shift_y=n(-6.0, 17.0 * wide, -50.0, 50.0),
        turn=n(0.0, 0.05 * wide, -0.2, 0.2),
        roll=n(0.0, 0.025 * wide * wide),
        tilt=n(0.0, 0.06 * wide, -0.25, 0.25),
        inspiration=n(0.0, 7.0) - (14.0 if bedside else 0.0),
        heart=1.12 if bedside else 1.0,
        scatter=u(0.02, 0.14) * wide,
        noise=u(0.004, 0.02),
        dark=n(0.22, 0.2, -0.15, 0.62),
        bright=n(0.97, 0.07, 0.78, 1.12),
        gamma=n(0.95, 0.2, 0.55, 1.6),
        enhance=max(0.0, n(0.05, 0.15)) if not s.chance(0.2) else u(0.2, 0.55),
        focus=u(0.8, 2.4),
        letter=s.integer(0, 4),
        letter_x=u(0.04, 0.12) if s.chance(0.25) else u(0.86, 0.95),
        letter_y=u(0.04, 0.16),
        border=s.integer(1, 16) if s.chance(0.3) else 0,
        border_width=u(0.01, 0.06),
        border_white=s.chance(0.4),
    )


def place(points: Floats, e: Exposure) -> Floats:
    """Body coordinates (n, 3) to image coordinates: x right and y down from the corner, z along the ray; all in mm."""
    cosine, sine = _turned(e.turn)
    x = points[:, 0] * cosine + points[:, 2] * sine
    z = points[:, 2] * cosine - points[:, 0] * sine
    y = points[:, 1] - e.tilt * z
    cosine, sine = _turned(e.roll)
    half = e.field * 0.5
    right = x * cosine + y * sine + (half + e.shift_x)
    down = x * sine - y * cosine + (half + e.shift_y)
    return np.stack([right, down, z], axis=1)


@lru_cache(maxsize=64)
def _turned(angle: float) -> tuple[float, float]:
    both = np.array([angle])
    return float(arithmetic.cos(both)[0]), float(arithmetic.sin(both)[0])


def _placed(tubes: Tubes, e: Exposure) -> Tubes:
    return tubes.moved(place(tubes.start, e), place(tubes.end, e))


def attenuation(a: torso.Anatomy, e: Exposure, size: int) -> Floats:
    """Line integrals of attenuation (size, size), without unit."""
    pixel = e.field / size
    axis = (np.arange(size, dtype=np.float64) + 0.5) * pixel - e.field * 0.5
    right, down = (axis - e.shift_x)[None, :], (axis - e.shift_y)[:, None]
    cosine, sine = _turned(e.roll)
    x, y = right * cosine + down * sine, right * sine - down * cosine
    turn = _turned(e.turn)
    # the profiles are read at an eighth of a pixel: a tilted image repeats each height many times
    lowest, fine_step = float(y.min()), pixel / 8.0
    level = np.rint((y - lowest) / fine_step).astype(np.intp)
    levels = lowest + fine_step * np.arange(int(level.max()) + 1, dtype=np.float64)
    names = torso.SOLIDS if a.effusion_side else torso.SOLIDS[:-1]
    rows = torso.solids(a, e.inspiration)(levels)[: 4 * len(names)].take(level, axis=1)
    rows[14:16] *= e.heart
    spans = {name: crossing(x, turn, tuple(rows[4 * k : 4 * k + 4])) for k, name in enumerate(names)}
    lung = remaining(spans["cavity"], [spans[name] for name in names[2:]])
    body = spans["body"][1] - spans["body"][0]
    arm = project(_placed(bones.arms(a), e), size, pixel)
    thickness = np.sqrt(body * body + arm * arm)
    tissue = stretch(
        a.stream("tissue").normals((12, 12)), [(axis - e.shift_y) / 40.0 + 6.0, (axis - e.shift_x) / 40.0 + 6.0]
    )
    fine = stretch(
        a.stream("lung").normals((60, 60)), [(axis - e.shift_y) / 7.0 + 30.0, (axis - e.shift_x) / 7.0 + 30.0]
    )
    aerated = 1.0 - a.lung_density * (1.0 + 0.06 * tissue + 0.2 * a.interstitial * fine)
    total = (thickness * (1.0 + 0.02 * tissue) - lung * aerated) * WATER
    skeleton = [bones.ribs(a), bones.spine(a), bones.girdle(a)]
    bright = [*skeleton, scaled(torso.vessels(a, 6), 0.78 * WATER), scaled(torso.great_vessels(a), 0.35 * WATER)]
    bright += [scaled(torso.airways(a), -0.8 * WATER), *devices.tubes(a)]
    total = total + project(_placed(Tubes.join(bright), e), size, pixel)
    integrals: Floats = np.maximum(total + _blobs(a, e, right, down, pixel, lung), 0.0)
    return integrals


def scaled(tubes: Tubes, factor: float) -> Tubes:
    """The same tubes with another density."""
    return Tubes(tubes.start, tubes.end, tubes.radius, tubes.hollow, tubes.shell * factor, tubes.core * factor)


def _blobs(a: torso.Anatomy, e: Exposure, right: Floats, down: Floats, pixel: float, lung: Floats) -> Floats:
    """Ellipsoids on top: opacities in the lung, breasts, air in the bowel."""
    inside = np.minimum(lung / 60.0, 1.0)
    out = np.zeros_like(lung)
    corner = np.array([e.field * 0.5 + e.shift_x, e.field * 0.5 + e.shift_y, 0.0])
    found, shapes = torso.findings(a), devices.ellipsoids(a)
    middles = (place(np.concatenate([found[:, :3], shapes[:, :3]]), e) - corner).tolist()
    for (u, v, _), (radius, density) in zip(middles, found[:, 3:].tolist(), strict=False):
        dx, dy = (right - u) / radius, (down - v) / radius  # (1, size), (size, 1)
        hill = np.maximum(1.0 - (dx * dx + dy * dy), 0.0)
        shape = np.sqrt(hill) if density > 0.5 else hill * hill * 1.4  # a nodule is a ball, an opacity fades out
        out = out + shape * inside * (2.0 * radius * density * WATER)
    for (u, v, _), (wide, high, deep, density) in zip(middles[len(found) :], shapes[:, 3:].tolist(), strict=True):
        dx, dy = (right - u) / wide, (down - v) / high
        hill = np.maximum(1.0 - (dx * dx + dy * dy), 0.0)
        np.sqrt(hill, out=hill)
        hill *= 2.0 * deep * density * WATER
        out += hill
    return out


def coarse(image: Floats, cells: int, sigma: float) -> Floats:
    """A wide blur at the price of a small one: block means on (cells, cells), blurred, read back smoothly."""
    size = image.shape[0]
    edges = (np.arange(cells + 1) * size) // cells
    width = (edges[1:] - edges[:-1]).astype(np.float64)
    columns, small = np.zeros((size, cells)), np.zeros((cells, cells))
    steps = [(edges[:-1] + j, edges[:-1] + j < edges[1:]) for j in range(int(width.max()))]
    for index, there in steps:
        columns[:, there] += image[:, index[there]] / width[there]
    for index, there in steps:
        small[there] += columns[index[there]] / width[there][:, None]
    place = (np.arange(size, dtype=np.float64) + 0.5) * (cells / size) - 0.5
    return stretch(arithmetic.blur(small, sigma), [place, place])


def draw(patient: int, scan: int, *, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """A frontal chest radiograph, (size, size) bytes, air dark and bone bright.

    >>> draw(0, 0, size=32).shape
    (32, 32)
    """
    if not 16 <= size <= 1024:
        raise ValueError(f"a radiograph of {size} pixels cannot be drawn: take a size from 16 to 1024")
    a, e = torso.anatomy(patient, seed), exposure(patient, scan, seed)
    depth = arithmetic.blur(attenuation(a, e, size), e.focus * size / e.field)
    primary = arithmetic.exp(-depth)
    signal = primary + e.scatter * coarse(primary, 16, 1.5)
    quanta = Stream("radiograph noise", VERSION, seed, patient, scan, size).normals((size, size))
    # noise of a pixel falls with its side; the reference is 64 pixels
    spread = e.noise * 0.35 * (size / 64.0)
    signal = signal + np.sqrt(signal * 0.01) * quanta * spread * 0.3
    film = -arithmetic.log(np.maximum(signal, 0.0008))
    film = film - e.enhance * coarse(film, 16, 1.0)
    ranks = [int(share * size * size) for share in (0.02, 0.3, 0.98)]
    low, middle, high = np.partition(film.reshape(-1), ranks)[ranks].tolist()
    black = low + e.dark * (middle - low)
    white = black + e.bright * (high - black)
    shown = arithmetic.power(arithmetic.clip((film - black) / max(white - black, 1e-6), 0.0, 1.0), e.gamma)
    return arithmetic.to_bytes(devices.finish(shown, e.letter, (e.letter_x, e.letter_y), _borders(e)))


def _borders(e: Exposure) -> tuple[tuple[float, float, float, float], float]:
    sides = tuple(e.border_width * (0.5 + 0.5 * k) if e.border >> k & 1 else 0.0 for k in range(4))
    return (sides[0], sides[1], sides[2], sides[3]), 1.0 if e.border_white else 0.0
