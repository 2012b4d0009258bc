"""The anatomy of one patient's chest: random parameters, and the solids, bones and vessels that follow from them.

Body coordinates, in millimetres: x towards the patient's left, y towards the head, z towards the breastbone; the
origin lies in the middle of the chest, about at the fork of the windpipe. Radiograph and CT draw the same torso.
Deterministic to the byte on every platform: see ``arithmetic`` for what may be used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic
from memobench.data.phantom.random import Numbers, Stream
from memobench.data.phantom.shapes import Floats, Profiles, Tubes, grow, lerp, unit

VERSION = "1"
BOTTOM, TOP, STEP = -360.0, 360.0, 10.0
SOLIDS = ("body", "cavity", "mediastinum", "heart", "atrium", "dome_right", "dome_left", "spine", "effusion")


@dataclass(frozen=True)
class Anatomy:
    """Everything that stays the same between two scans of one patient. Lengths in mm, shares without unit."""

    patient: int
    seed: int
    # habitus
    female: bool
    width: float  # half width of the rib cage
    depth: float  # half depth of the rib cage
    lung_height: float
    apex_width: float  # of the cage's upper end, share of width
    barrel: float  # how early the cage reaches its full width
    waist: float  # width of the cage's lower end, share
    fat: float  # thickness under the skin
    muscle: float
    belly: float  # width added below the diaphragm
    shoulder_width: float
    shoulder_height: float
    shoulder_slope: float
    neck_width: float
    neck_height: float
    arm_angle: float
    arm_radius: float
    breast_size: float
    breast_height: float
    breast_spacing: float
    asymmetry: float
    # spine and ribs
    scoliosis: float  # signed sideways bend
    scoliosis_height: float
    kyphosis: float
    vertebra_width: float
    vertebra_height: float
    rib_count: int
    rib_slope: float
    rib_radius: float
    rib_cortex: float
    rib_irregularity: float
    bone_density: float
    clavicle_slope: float
    clavicle_bow: float
    clavicle_radius: float
    scapula_spread: float
    scapula_tilt: float
    # heart and great vessels
    heart_size: float
    heart_offset: float
    heart_height: float
    heart_tilt: float
    atrium_size: float
    mediastinum_width: float
    upper_mediastinum: float
    arch_radius: float
    arch_height: float
    arch_calcified: bool
    aorta_offset: float
    trachea_radius: float
    trachea_deviation: float
    hilum_height: float
    hilum_size: float
    # lungs and below
    lung_density: float  # attenuation of lung as a share of water's
    vessel_density: float
    vessel_spread: float
    interstitial: float
    dome_right: float  # height of the right dome's top above the lowest lung
    dome_left: float
    dome_roundness: float
    bubble: float  # size of the stomach's air bubble, 0 for none
    bowel_gas: int
    # findings
    nodules: int
    opacities: int
    opacity_side: int
    effusion_side: int  # -1 right, 0 none, 1 left
    effusion_height: float
    # devices
    pacemaker: bool
    port: bool
    tubes: bool  # an airway tube and a central line
    leads: int  # wires of the monitor over the chest
    sternal_wires: bool

    @property
    def apex(self) -> float:
        """Height of the top of the lungs."""
        return 0.46 * self.lung_height + 15.0

    @property
    def base(self) -> float:
        """Height of the lowest lung, in the sulcus."""
        return self.apex - self.lung_height - 25.0

    def stream(self, *names: str | int) -> Stream:
        """Random numbers of a named part of this patient."""
        return Stream("torso", VERSION, self.seed, self.patient, *names)


def anatomy(patient: int, seed: int = 0) -> Anatomy:
    """Draw the anatomy of a patient.

    >>> anatomy(3) == anatomy(3)
    True
    """
    s = Numbers(Stream("torso", VERSION, seed, patient), 128)
    n, u, chance = s.normal, s.uniform, s.chance
    female = chance(0.45)
    small = 0.92 if female else 1.0
    heavy = n(0.0, 1.0, -1.7, 2.6)
    ill = chance(0.3)
    return Anatomy(
        patient=patient,
        seed=seed,
        female=female,
        width=n(132.0, 9.0, 108.0, 160.0) * small,
        depth=n(92.0, 9.0, 70.0, 120.0) * small,
        lung_height=n(262.0 if not ill else 225.0, 27.0, 150.0, 320.0) * small,
        apex_width=n(0.62, 0.09, 0.42, 0.82),
        barrel=n(0.0, 0.06, -0.14, 0.16),
        waist=n(1.0, 0.05, 0.88, 1.12),
        fat=max(5.0, 17.0 + 11.0 * heavy + n(0.0, 3.0)),
        muscle=n(16.0, 4.0, 7.0, 28.0),
        belly=max(0.0, 6.0 + 12.0 * heavy + n(0.0, 8.0)),
        shoulder_width=n(192.0, 13.0, 158.0, 228.0) * small,
        shoulder_height=n(0.0, 16.0, -35.0, 40.0),
        shoulder_slope=n(45.0, 14.0, 12.0, 80.0),
        neck_width=n(58.0, 7.0, 42.0, 76.0),
        neck_height=n(62.0, 14.0, 30.0, 95.0),
        arm_angle=n(0.18, 0.16, -0.05, 0.7),
        arm_radius=n(42.0, 5.0, 30.0, 56.0) + 4.0 * heavy,
        breast_size=max(0.0, n(0.75, 0.4) + 0.25 * heavy) if female else max(0.0, 0.15 * heavy),
        breast_height=n(-58.0, 18.0, -105.0, -20.0),
        breast_spacing=n(78.0, 9.0, 55.0, 100.0),
        asymmetry=n(0.0, 0.025),
        scoliosis=n(0.0, 5.0, -20.0, 20.0) if not chance(0.08) else n(0.0, 16.0, -35.0, 35.0),
        scoliosis_height=n(0.0, 50.0),
        kyphosis=n(16.0, 8.0, 0.0, 40.0),
        vertebra_width=n(17.5, 1.8, 13.0, 23.0),
        vertebra_height=n(23.5, 1.6, 19.0, 28.0),
        rib_count=11 + s.integer(0, 2),
        rib_slope=n(78.0, 18.0, 35.0, 125.0),
        rib_radius=n(6.2, 0.7, 4.5, 8.2),
        rib_cortex=n(1.1, 0.25, 0.5, 1.8),
        rib_irregularity=n(2.0, 0.8, 0.4, 4.0),
        bone_density=n(1.0, 0.22, 0.45, 1.6),
        clavicle_slope=n(14.0, 15.0, -22.0, 52.0),
        clavicle_bow=n(9.0, 5.0, -4.0, 22.0),
        clavicle_radius=n(6.0, 0.8, 4.2, 8.0),
        scapula_spread=n(0.0, 14.0, -30.0, 35.0),
        scapula_tilt=n(0.0, 12.0, -26.0, 26.0),
        heart_size=n(1.0, 0.12, 0.72, 1.45) * (1.08 if ill else 1.0),
        heart_offset=n(24.0, 7.0, 5.0, 42.0),
        heart_height=n(0.0, 9.0, -20.0, 20.0),
        heart_tilt=n(0.5, 0.16, 0.1, 0.9),
        atrium_size=n(1.0, 0.13, 0.7, 1.4),
        mediastinum_width=n(27.0, 4.0, 18.0, 40.0),
        upper_mediastinum=n(26.0, 5.0, 16.0, 44.0),
        arch_radius=n(14.0, 2.6, 8.0, 21.0),
        arch_height=n(38.0, 8.0, 20.0, 58.0),
        arch_calcified=chance(0.25),
        aorta_offset=n(20.0, 5.0, 8.0, 34.0),
        trachea_radius=n(8.5, 1.0, 6.0, 11.0),
        trachea_deviation=n(3.0, 4.0, -8.0, 14.0),
        hilum_height=n(2.0, 8.0, -16.0, 20.0),
        hilum_size=n(8.0, 1.5, 5.0, 13.0),
        lung_density=n(0.24, 0.05, 0.13, 0.4),
        vessel_density=n(1.0, 0.25, 0.5, 1.8),
        vessel_spread=n(0.5, 0.07, 0.33, 0.7),
        interstitial=max(0.0, n(0.15, 0.15)) + (u(0.0, 0.8) if ill else 0.0),
        dome_right=n(58.0, 12.0, 28.0, 95.0),
        dome_left=n(48.0, 12.0, 20.0, 90.0),
        dome_roundness=n(1.0, 0.1, 0.8, 1.3),
        bubble=u(12.0, 36.0) if chance(0.55) else 0.0,
        bowel_gas=s.integer(0, 6),
        nodules=s.integer(1, 5) if chance(0.3) else 0,
        opacities=s.integer(2, 9) if ill else 0,
        opacity_side=s.integer(-1, 2),
        effusion_side=(1 if chance(0.5) else -1) if chance(0.5 if ill else 0.03) else 0,
        effusion_height=n(42.0, 26.0, 8.0, 120.0),
        pacemaker=chance(0.04),
        port=chance(0.06),
        tubes=chance(0.3 if ill else 0.02),
        leads=s.integer(2, 6) if chance(0.5 if ill else 0.06) else 0,
        sternal_wires=chance(0.07),
    )


def bend(a: Anatomy, y: Floats) -> tuple[Floats, Floats]:
    """Sideways and backward displacement (mm) of the spine at heights y."""
    h = (y - a.scoliosis_height) / 140.0
    k = (y - 20.0) / 150.0
    return a.scoliosis * (1.0 - h * h) / (1.0 + h * h), -a.kyphosis * (1.0 - 0.5 * k * k)


def _round(y: Floats, middle: float, half: float) -> Floats:
    """Half width of a unit circle at height y of its extent."""
    h = (y - middle) / half
    return np.sqrt(np.maximum(1.0 - h * h, 0.0))


def cage(a: Anatomy, y: Floats) -> tuple[Floats, Floats]:
    """Half width and half depth of the lungs' cavity at heights y."""
    share = (y - a.base) / (a.apex - a.base)
    b = a.barrel
    keys = [0.0, 0.25, 0.54 + b, 0.71 + b, 0.85 + 0.5 * b, 0.95, 1.0]
    narrow = a.apex_width
    wide = lerp(share, keys, [a.waist, 1.0, 0.97, 0.5 * narrow + 0.5, narrow * 1.12, narrow * 0.82, narrow * 0.5])
    deep = lerp(share, keys, [0.97, 1.0, 0.98, 0.86, 0.68, 0.5, 0.32])
    closed = np.sqrt(
        arithmetic.clip((a.apex + 3.0 - y) / 22.0, 0.0, 1.0) * arithmetic.clip((y - a.base + 4.0) / 16.0, 0.0, 1.0)
    )
    return a.width * wide * closed, a.depth * deep * closed


def solids(a: Anatomy, inspiration: float = 0.0) -> Profiles:
    """The large solids, as elliptic slices at every height: rows 4k to 4k + 3 are cx, cz, a, b of ``SOLIDS[k]``.

    Args:
        a: The patient.
        inspiration: How much deeper (mm) than usual the diaphragm stands.
    """
    y = BOTTOM + STEP * np.arange(int((TOP - BOTTOM) / STEP) + 1, dtype=np.float64)
    zero, one = np.zeros_like(y), np.ones_like(y)
    spine_x, spine_z = bend(a, y)
    wide, deep = cage(a, y)
    shown = a.width * lerp(y, [a.base - 60.0, a.base, a.apex - 60.0], [0.94, 1.0, 1.0])
    wall = a.fat + a.muscle + 6.0
    top = a.apex + 18.0 + a.shoulder_height
    neck = a.neck_width
    slope = a.shoulder_slope
    keys = [a.base - 150, a.base - 40, a.base + 60, top - 95, top - 55, top - 20, top + slope * 0.4, top + slope]
    broad = a.shoulder_width + 0.4 * a.fat
    flank = a.width + wall
    values = [flank + a.belly, flank + 0.7 * a.belly, flank, flank + 8, broad, broad * 0.97, broad * 0.72, neck + 18]
    chin = top + slope + a.neck_height
    body_a = lerp(y, [*keys, top + slope + 14, chin, chin + 14], [*values, neck, neck, neck + 24])
    thick = a.depth + 0.75 * wall
    body_b = lerp(
        y,
        [a.base - 60, a.base + 50, a.apex - 50, top + 10, chin - 10, chin + 20],
        [thick + 0.8 * a.belly, thick, thick * 0.93, 72.0, 56.0, 92.0],
    )
    x_cage = spine_x * 0.35 + a.asymmetry * a.width
    heart_y = a.base + 0.5 * (a.dome_right + a.dome_left) + 36.0 + a.heart_height - 0.4 * inspiration
    hs = a.heart_size
    heart = _round(y, heart_y, 54.0 * hs)
    atrium = _round(y, heart_y + 2.0, 50.0 * a.atrium_size)
    keys = [a.base, heart_y, a.arch_height - 12.0, a.arch_height + 25.0, a.apex]
    between = lerp(y, keys, [32.0, a.mediastinum_width, a.mediastinum_width, a.upper_mediastinum, a.upper_mediastinum])
    rows: list[Floats] = [x_cage * 0.8, -3.0 * one, body_a, body_b, x_cage, spine_z * 0.4, wide, deep]
    rows += [spine_x * 0.5 + 1.5, spine_z * 0.2 + 8.0, between, a.depth * 0.84 * one]
    lean = a.heart_tilt * (heart_y - y)
    rows += [a.heart_offset + lean * 0.55, 0.12 * a.depth * one, 63.0 * hs * heart, 0.82 * a.depth * heart]
    rows += [-16.0 * one, 10.0 * one, 30.0 * a.atrium_size * atrium, 0.78 * a.depth * atrium]
    for side, height in ((-1.0, a.dome_right), (1.0, a.dome_left)):
        tip = a.base + height - inspiration
        half = max(height + 14.0, 30.0) * a.dome_roundness
        dome = np.where(y > tip - half, _round(y, tip - half, half), 1.0)
        dome = 0.4 * dome + 0.6 * np.sqrt(dome)
        rows += [side * (0.5 * a.width + 4.0) + x_cage, 8.0 * one, dome * a.width * 0.56, dome * a.depth * 1.02]
    rows += [spine_x, -a.depth * 0.86 + spine_z * 0.4, 19.0 * one, 26.0 * one]
    level = a.base + a.effusion_height
    fluid = lerp(y, [a.base - 20.0, level - 20.0, level, level + 25.0, level + 70.0], [120.0, 90.0, 50.0, 18.0, 0.0])
    amount = abs(a.effusion_side)
    rows += [a.effusion_side * shown * 1.03 + x_cage, -20.0 * one, fluid * amount + zero, (fluid + 60.0) * amount]
    return Profiles(np.stack(rows), BOTTOM, STEP)


def vessels(a: Anatomy, generations: int) -> Tubes:
    """Both lungs' vessels as branching trees, density 1; those that would leave the lungs are left out."""
    base = np.array(
        [
            [0.5, 0.85, 0.1],
            [0.8, 0.45, 0.45],
            [0.9, 0.1, -0.4],
            [0.8, -0.5, 0.3],
            [0.55, -0.85, -0.2],
            [0.3, -0.95, 0.15],
        ]
    )
    stream = a.stream("vessels")
    side = np.array([1.0] * 6 + [-1.0] * 6)[:, None]
    mirror = np.concatenate([side, np.ones((12, 2))], axis=1)
    heading = unit((np.concatenate([base, base]) + stream.normals((12, 3), 0.17)) * mirror)
    origin = np.concatenate([side * (a.mediastinum_width + 5.0), a.hilum_height + 4.0 * side, 0.0 * side - 8.0], axis=1)
    scale = sqrt(a.width / 138.0 * a.lung_height / 230.0)
    tree = grow(
        stream,
        origin + heading * 6.0,
        heading,
        length=27.0 * scale,
        spread=a.vessel_spread,
        radius=a.hilum_size * 0.52 * sqrt(a.vessel_density),
        generations=generations,
    )
    wide, deep = cage(a, tree.end[:, 1])
    x, z = tree.end[:, 0] / np.maximum(wide, 1.0), tree.end[:, 2] / np.maximum(deep, 1.0)
    return tree.take((x * x + z * z < 0.93) & (np.abs(tree.end[:, 0]) > 5.0))


def great_vessels(a: Anatomy) -> Tubes:
    """Aortic arch and descending aorta, pulmonary trunk and hila, density 1."""
    r, top = a.arch_radius, a.arch_height
    offset = a.aorta_offset
    arch = np.array(
        [
            [-12.0, top - 40.0, 30.0],
            [-6.0, top - 4.0, 22.0],
            [offset * 0.5, top + 5.0, 0.0],
            [offset + 4.0, top - 4.0, -30.0],
            [offset, top - 40.0, -48.0],
            [offset - 6.0, top - 110.0, -52.0],
            [offset - 10.0, a.base - 20.0, -50.0],
        ]
    )
    arch = arch + np.array([a.scoliosis * 0.4, 0.0, 0.0])
    parts = [Tubes.along(arch, r, 1.0, 1.0, 1.0)]
    h = a.hilum_height
    trunk = np.array(
        [
            [4.0, h - 10.0, 30.0],
            [16.0, h + 14.0, 12.0],
            [a.mediastinum_width + 6.0, h + 8.0, -6.0],
            [a.mediastinum_width + 14.0, h - 22.0, -14.0],
        ]
    )
    parts.append(Tubes.along(trunk, a.hilum_size * 1.15, 1.0, 1.0, 1.0))
    right = np.array(
        [[-8.0, h + 4.0, 10.0], [-a.mediastinum_width - 8.0, h, 0.0], [-a.mediastinum_width - 16.0, h - 34.0, -10.0]]
    )
    parts.append(Tubes.along(right, a.hilum_size, 1.0, 1.0, 1.0))
    return Tubes.join(parts)


def airways(a: Anatomy) -> Tubes:
    """Windpipe and main bronchi, density 1 for their air."""
    fork = a.hilum_height + 22.0
    points = np.array(
        [
            [0.0, a.apex + 70.0, -5.0],
            [-a.trachea_deviation * 0.4, a.apex, -15.0],
            [-a.trachea_deviation, fork + 12.0, -25.0],
            [-a.trachea_deviation * 0.7, fork, -26.0],
        ]
    )
    left = np.array([points[3], [34.0, fork - 30.0, -22.0], [48.0, fork - 52.0, -24.0]])
    right = np.array([points[3], [-28.0, fork - 26.0, -24.0], [-42.0, fork - 62.0, -26.0]])
    r = a.trachea_radius
    return Tubes.join(
        [
            Tubes.solid(points[:-1], points[1:], r, 1.0),
            Tubes.solid(left[:-1], left[1:], r * 0.7, 1.0),
            Tubes.solid(right[:-1], right[1:], r * 0.75, 1.0),
        ]
    )


def findings(a: Anatomy) -> NDArray[np.float64]:
    """Nodules and opacities in the lungs: rows of x, y, z, radius (mm), density relative to water."""
    stream = a.stream("findings")
    rows = []
    for number in range(a.nodules + a.opacities):
        u = stream.uniforms(8)
        opacity = number >= a.nodules
        side = (1.0 if u[0] < 0.5 else -1.0) if not opacity or a.opacity_side == 0 else float(a.opacity_side)
        y = a.base + 60.0 + (a.lung_height - 90.0) * float(u[1])
        radius = 18.0 + 34.0 * float(u[2]) if opacity else 4.0 + 13.0 * float(u[2] * u[2])
        density = 0.08 + 0.3 * float(u[3]) if opacity else 0.7
        rows.append([side * a.width * (0.35 + 0.45 * float(u[4])), y, a.depth * (float(u[5]) - 0.5), radius, density])
    return np.array(rows, dtype=np.float64).reshape(-1, 5)
