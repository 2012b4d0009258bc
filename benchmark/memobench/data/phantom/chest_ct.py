"""Chest CT of the phantom: crops of the lung around a nodule or a vessel, in Hounsfield units and as bytes.

The torso of ``torso`` is sampled at the voxels alone; then come the scanner's blur, noise and the scan's window.
Deterministic to the byte on every platform from (version, seed, patient, scan, size): see ``arithmetic`` for what may
be used here. Sizes of one scan differ only in their sampling and their noise, which has a stream of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic, bones, torso
from memobench.data.phantom.random import Numbers, Stream
from memobench.data.phantom.shapes import Floats, Tubes, fill, grow, stretch, unit

VERSION = "1"
AIR, FAT, MUSCLE, LIVER = -1000.0, -100.0, 50.0, 62.0


@dataclass(frozen=True)
class Acquisition:
    """What differs between two CT scans of one patient."""

    field: float  # side of the crop, mm
    shift: tuple[float, float, float]  # of the crop's centre from the target along x, y, z, mm
    turn: float  # about the body's axis, radians
    inspiration: float
    sharpness: float  # standard deviation of the point spread, mm
    noise: float  # Hounsfield units at one pixel per mm
    contrast: float  # enhancement of blood, Hounsfield units
    low: float  # the window, Hounsfield units
    high: float
    round_field: bool  # black outside of the scanner's circle


@dataclass(frozen=True)
class Target:
    """What a patient's crops are centred on, and the lung around it."""

    centre: Floats  # (3,) mm
    nodule: bool
    radius: float
    spicules: Tubes
    lobes: Floats  # (n, 4) centre and radius of the nodule's parts
    density: float
    vessels: Tubes
    lung: float  # Hounsfield units
    emphysema: float
    groundglass: float


def acquisition(patient: int, scan: int, seed: int = 0, *, volume: bool = False) -> Acquisition:
    """Draw position, technique and window of a scan."""
    habit = Stream("chest ct habit", VERSION, seed, patient)
    contrast = habit.uniform(60.0, 300.0) if habit.chance(0.35) or volume else 0.0
    wide = habit.chance(0.15)
    s = Numbers(Stream("chest ct", VERSION, seed, patient, scan), 24)
    n, u = s.normal, s.uniform
    field = habit.normal(88.0, 12.0, 62.0, 120.0) if not volume else habit.normal(52.0, 5.0, 42.0, 64.0)
    return Acquisition(
        field=field * n(1.0, 0.04, 0.85, 1.15),
        shift=(n(0.0, 3.0), n(0.0, 1.6), n(0.0, 3.0)),
        turn=n(0.0, 0.05, -0.2, 0.2),
        inspiration=n(0.0, 4.0),
        sharpness=u(0.3, 0.9),
        noise=u(6.0, 40.0) if s.chance(0.8) else u(40.0, 110.0),
        contrast=contrast,
        low=n(-1030.0, 35.0, -1130.0, -960.0) if not wide else u(-2100.0, -1400.0),
        high=u(450.0, 1300.0) if not volume else u(350.0, 800.0),
        round_field=wide,
    )


def target(a: torso.Anatomy, *, volume: bool = False) -> Target:
    """Where a patient's crops lie, and the fine vessels there."""
    s = a.stream("chest ct target", int(volume))
    side = 1.0 if s.chance(0.5) else -1.0
    centre = _lung_point(a, s, side, 0.78 if not volume else 0.6)
    nodule = s.chance(0.85) if not volume else s.chance(0.3)
    size = s.uniform()
    radius = 1.8 + 11.0 * size * size * size * size + 2.0 * s.uniform()
    count = 36
    roots = centre + s.uniforms((count, 3), -1.0, 1.0) * np.array([60.0, 45.0, 60.0])
    hilum = np.array([side * a.mediastinum_width, a.hilum_height, -8.0])
    heading = unit(unit(roots - hilum) + s.normals((count, 3), 0.45))
    fine = grow(s, roots, heading, length=13.0, radius=1.15 * sqrt(a.vessel_density), generations=4, spread=0.55)
    if not nodule:
        start = np.stack([centre - 26.0 * heading[0], centre, centre])
        aim = unit(np.stack([heading[0], heading[0] + 0.5 * heading[1], heading[0] - 0.6 * heading[1]]))
        stem = Tubes.solid(start, start + 26.0 * aim, np.array([3.4, 2.6, 2.2]) * s.uniform(0.8, 1.5), 1.0)
        twigs = grow(s, stem.end[1:], aim[1:], length=18.0, radius=1.7, generations=4, spread=0.6)
        fine = Tubes.join([stem, twigs, fine])
    wobble = s.normals((7, 3))
    lobes = np.concatenate([wobble * (radius * 0.42), radius * s.uniforms((7, 1), 0.5, 0.85)], axis=1)
    lobes[0] = (0.0, 0.0, 0.0, radius * 0.9)
    spines = unit(s.normals((14, 3)))
    spicules = Tubes.solid(
        centre + 0.0 * spines, centre + spines * (radius * s.uniforms((14, 1), 1.0, 2.6)), 0.35 + 0.06 * radius, 1.0
    ).take(np.arange(14 if s.chance(0.35) else 0))
    return Target(
        centre=centre,
        nodule=nodule,
        radius=radius,
        spicules=spicules,
        lobes=lobes[: 1 + s.integer(0, 7)],
        density=s.normal(40.0, 40.0, -250.0, 250.0) if not s.chance(0.1) else s.uniform(300.0, 900.0),
        vessels=fine,
        lung=s.normal(-860.0, 28.0, -925.0, -770.0),
        emphysema=s.uniform(20.0, 90.0) if s.chance(0.25) else 0.0,
        groundglass=s.uniform(50.0, 300.0) if s.chance(0.12) else 0.0,
    )


def _lung_point(a: torso.Anatomy, s: Stream, side: float, reach: float) -> Floats:
    """A random point inside one lung: the candidate that lies deepest in it wins where none is well inside."""
    y = s.uniforms(12, a.base + 0.2 * a.lung_height, a.apex - 28.0)
    angle = s.uniforms(12, 0.5, 2.7)
    far = np.sqrt(s.uniforms(12, 0.3, reach))
    wide, deep = torso.cage(a, y)
    x = side * np.maximum(wide * arithmetic.sin(angle) * far, a.mediastinum_width + 10.0)
    z = -deep * arithmetic.cos(angle) * far
    rows = torso.solids(a)(y)
    clear = np.full(12, np.inf)
    for k in range(2, len(torso.SOLIDS)):
        cx, cz, half_x, half_z = rows[4 * k : 4 * k + 4]
        p, q = (x - cx) / np.maximum(half_x, 0.01), (z - cz) / np.maximum(half_z, 0.01)
        clear = np.minimum(clear, p * p + q * q)
    good = np.nonzero(clear > 1.25)[0]
    best = int(good[0]) if len(good) else int(np.argmax(clear))
    return np.array([x[best], y[best], z[best]])


def hounsfield_slice(patient: int, scan: int, *, size: int, seed: int = 0) -> NDArray[np.int16]:
    """An axial crop (size, size) in Hounsfield units: breastbone up, patient's left on the right."""
    values: NDArray[np.int16] = _hounsfield(patient, scan, size, seed)[0]
    return values


def hounsfield_volume(
    patient: int, scan: int, *, size: int, planes: int | None = None, seed: int = 0
) -> NDArray[np.int16]:
    """A cube (planes, size, size) in Hounsfield units: slices from head to feet, each as ``hounsfield_slice``."""
    return _hounsfield(patient, scan, size, seed, planes=planes or size)


def draw_slice(patient: int, scan: int, *, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """An axial crop of the lung, (size, size) bytes in the scan's own window.

    >>> draw_slice(0, 0, size=32).shape
    (32, 32)
    """
    q = acquisition(patient, scan, seed)
    return _window(hounsfield_slice(patient, scan, size=size, seed=seed), q)


def draw_volume(patient: int, scan: int, *, size: int, planes: int | None = None, seed: int = 0) -> NDArray[np.uint8]:
    """A sub-volume of the lung around a vessel, (planes, size, size) bytes in the scan's own window.

    Args:
        patient: Number of the patient.
        scan: Number of the scan.
        size: Rows and columns.
        planes: Slices, over the same depth; None for as many as rows.
        seed: Of another population.

    >>> draw_volume(0, 0, size=16).shape, draw_volume(0, 0, size=16, planes=8).shape
    ((16, 16, 16), (8, 16, 16))
    """
    q = acquisition(patient, scan, seed, volume=True)
    return _window(hounsfield_volume(patient, scan, size=size, planes=planes, seed=seed), q)


def _window(values: NDArray[np.int16], q: Acquisition) -> NDArray[np.uint8]:
    return arithmetic.to_bytes((values.astype(np.float64) - q.low) / (q.high - q.low))


def _hounsfield(patient: int, scan: int, size: int, seed: int, *, planes: int = 0) -> NDArray[np.int16]:
    """A slice, or so many of a volume."""
    volume = planes > 0
    for side in (size, planes or size):
        if not 8 <= side <= 512:
            raise ValueError(f"a CT crop of {side} pixels cannot be drawn: take a size from 8 to 512")
    a, q = torso.anatomy(patient, seed), acquisition(patient, scan, seed, volume=volume)
    t = target(a, volume=volume)
    pixel = q.field / size
    axis = _centres(size, q.field)
    depth = _centres(planes, q.field) + q.shift[1] if volume else np.array([q.shift[1]])
    axes = (axis + q.shift[0], depth, axis + q.shift[2])
    values = _sample(a, q, t, axes, max(0.5 * pixel, 0.45))
    sigma = q.sharpness / pixel
    values = arithmetic.blur(values, q.sharpness / (q.field / planes) if volume else 0.0, sigma, sigma)
    of_shape = (planes,) if volume and planes != size else ()
    noise = Stream("chest ct noise", VERSION, seed, patient, scan, size, int(volume), *of_shape).normals(values.shape)
    values = values + noise * (q.noise * 0.6 / max(pixel, 0.5))
    if q.round_field and not volume:
        values = np.where(_outside(t, axes, 175.0), -2048.0, values)
    values = values[::-1, ::-1, :]  # from head to feet, and the breastbone up
    units: NDArray[np.int16] = np.rint(np.clip(values, -2048.0, 3071.0)).astype(np.int16)
    return units


def _centres(count: int, side: float) -> Floats:
    """Middles of so many pixels along a side in mm, from its middle."""
    return (np.arange(count, dtype=np.float64) + 0.5) * (side / count) - side * 0.5


def _outside(t: Target, axes: tuple[Floats, Floats, Floats], radius: float) -> NDArray[np.bool_]:
    x, z = axes[0][None, :] + t.centre[0], axes[2][:, None] + t.centre[2]
    outside: NDArray[np.bool_] = (x * x + z * z > radius * radius)[None]
    return outside


def _local(points: Floats, t: Target, turn: tuple[float, float]) -> Floats:
    """Body coordinates to those of the crop: relative to the target, turned about the vertical axis."""
    d = points - t.centre
    return np.stack([d[:, 0] * turn[0] + d[:, 2] * turn[1], d[:, 1], d[:, 2] * turn[0] - d[:, 0] * turn[1]], axis=1)


def _sample(a: torso.Anatomy, q: Acquisition, t: Target, axes: tuple[Floats, Floats, Floats], edge: float) -> Floats:
    """Hounsfield units at the voxels (y, z, x) before blur and noise; ``edge`` is half the width of soft edges, mm."""
    angle = np.array([q.turn])
    turn = (float(arithmetic.cos(angle)[0]), float(arithmetic.sin(angle)[0]))
    u, v = axes[0][None, :], axes[2][:, None]
    x, z = u * turn[0] - v * turn[1] + t.centre[0], u * turn[1] + v * turn[0] + t.centre[2]
    rows = torso.solids(a, q.inspiration)(axes[1] + t.centre[1])
    names = torso.SOLIDS

    def inside(name: str, grow_by: float = 0.0) -> Floats:
        k = 4 * names.index(name)
        cx, cz, wide, deep = (row[:, None, None] for row in rows[k : k + 4])
        wide, deep = np.maximum(wide + grow_by, 0.01), np.maximum(deep + grow_by, 0.01)
        p, r = (x[None] - cx) / wide, (z[None] - cz) / deep
        distance = (1.0 - np.sqrt(p * p + r * r)) * np.minimum(wide, deep)
        share: Floats = np.clip(distance * (0.5 / edge) + 0.5, 0.0, 1.0)
        return share

    def tubes(what: Tubes) -> tuple[Floats, Floats]:
        return fill(what.moved(_local(what.start, t, turn), _local(what.end, t, turn)), axes, edge)

    def put(under: Floats, value: Floats | float, share: Floats) -> Floats:
        return under + (value - under) * share

    stream = a.stream("chest ct texture")
    place = [axis / 6.0 + 8.5 for axis in (axes[1], axes[2], axes[0])]
    cloud = stretch(stream.normals((18, 18, 18)), place)
    out = put(np.full(cloud.shape, AIR), FAT + 12.0 * cloud, inside("body"))
    out = put(out, MUSCLE + 6.0 * cloud, inside("cavity", a.muscle * 0.8 + 9.0))
    out = put(out, FAT + 30.0, inside("cavity", 4.0) * (1.0 - inside("cavity", 2.0)) * 0.5)
    between = inside("mediastinum")
    hollow = inside("cavity")
    holes = np.maximum(cloud - 0.4, 0.0) * -t.emphysema + np.maximum(cloud * -1.0 - 0.2, 0.0) * t.groundglass
    lung = t.lung + 14.0 * cloud + holes
    out = put(out, lung, hollow)
    blood = MUSCLE + q.contrast
    whole, _ = tubes(Tubes.join([torso.vessels(a, 7), t.vessels]))
    solid = hollow * (1.0 - between)
    out = put(out, blood - 15.0, whole * solid)
    if t.nodule:
        out = put(out, t.density, _nodule(t, axes, turn, edge) * solid)
    out = put(out, FAT + 20.0, between * hollow)
    for name, value in (("heart", blood), ("atrium", blood), ("effusion", 12.0)):
        out = put(out, value, inside(name) * hollow)
    for name in ("dome_right", "dome_left"):
        out = put(out, LIVER + 0.3 * q.contrast + 4.0 * cloud, inside(name) * hollow)
    out = put(out, blood, tubes(torso.great_vessels(a))[0])
    air, _ = tubes(torso.airways(a))
    out = put(out, -980.0, air)
    whole, core = tubes(Tubes.join([bones.ribs(a), bones.spine(a), bones.girdle(a)]))
    hard = 650.0 * (0.4 + 0.6 * a.bone_density)
    return put(out, put(np.full(core.shape, hard), 160.0 * a.bone_density + 20.0 * cloud, core), whole)


def _nodule(t: Target, axes: tuple[Floats, Floats, Floats], turn: tuple[float, float], edge: float) -> Floats:
    """Share of nodule in each voxel: merged balls, and strands where it has them."""
    out = np.zeros((len(axes[1]), len(axes[2]), len(axes[0])))
    for dx, dy, dz, radius in t.lobes.tolist():
        x, y, z = axes[0] - dx * turn[0] - dz * turn[1], axes[1] - dy, axes[2] - dz * turn[0] + dx * turn[1]
        distance = np.sqrt((x * x)[None, None, :] + (y * y)[:, None, None] + (z * z)[None, :, None])
        out = np.maximum(out, np.clip((radius - distance) * (0.5 / edge) + 0.5, 0.0, 1.0))
    if len(t.spicules.start):
        start, end = _local(t.spicules.start, t, turn), _local(t.spicules.end, t, turn)
        out = np.maximum(out, fill(t.spicules.moved(start, end), axes, edge)[0])
    return out
