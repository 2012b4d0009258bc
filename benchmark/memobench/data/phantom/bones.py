"""The bones of the chest and the soft tissue of the arms, as tubes.

Densities are attenuations over soft tissue in 1/mm. Coordinates as in ``torso``; deterministic to the byte on every
platform: see ``arithmetic`` for what may be used here.
"""

from __future__ import annotations

import numpy as np

from memobench.data.phantom import arithmetic
from memobench.data.phantom.shapes import Tubes, lerp
from memobench.data.phantom.torso import Anatomy, bend, cage


def ribs(a: Anatomy) -> Tubes:
    """The ribs, from their vertebra round to the front, as hollow tubes with bone's density over soft tissue (1/mm)."""
    angle = np.array([0.12, 0.3, 0.5, 0.72, 0.95, 1.2, 1.45, 1.7, 1.92, 2.12, 2.32, 2.5])
    sine, cosine = arithmetic.sin(angle), arithmetic.cos(angle)
    cortex, marrow = 0.025 * a.bone_density, 0.0065 * a.bone_density
    number = np.arange(a.rib_count, dtype=np.float64)
    back = a.apex + 8.0 - a.vertebra_height * number * (0.93 + 0.012 * number)
    slope = a.rib_slope * np.minimum(1.0, 0.5 + 0.12 * number)
    height = back[:, None] - slope[:, None] * (0.5 - 0.5 * cosine) + 4.0 * sine
    there = np.arange(11) < np.where(number < 10, 11.0, 26.0 - 2.0 * number)[:, None]  # the lowest end at the side
    starts, ends, radii = [], [], []
    for side, wobble in zip((-1.0, 1.0), a.stream("ribs").normals((2, 4, a.rib_count)), strict=True):
        y = height + (wobble[0][:, None] + wobble[1][:, None] * sine) * a.rib_irregularity
        wide, deep = cage(a, arithmetic.clip(y, a.base + 20.0, a.apex - 10.0))
        shift, bow = bend(a, y)
        spread = 1.0 + 0.008 * wobble[2][:, None]
        x = side * np.maximum((wide + 3.0) * spread * sine, 20.0 - 3.0 * angle) + shift * (0.7 + 0.3 * cosine)
        z = -(deep + 3.0) * cosine + bow * 0.4
        points = np.stack([x + a.asymmetry * a.width * sine, y, z], axis=2)
        starts.append(points[:, :-1][there])
        ends.append(points[:, 1:][there])
        radii.append((a.rib_radius * (1.0 + 0.05 * wobble[3]))[:, None].repeat(11, axis=1)[there])
    radius = np.concatenate(radii)
    hollow = np.maximum(radius - a.rib_cortex, radius * 0.1)
    shell, core = np.full(len(radius), cortex), np.full(len(radius), marrow)
    return Tubes(np.concatenate(starts), np.concatenate(ends), radius, hollow, shell, core)


def spine(a: Anatomy) -> Tubes:
    """Vertebral bodies and their processes."""
    cortex, spongy = 0.007 * a.bone_density, 0.0018 * a.bone_density
    y = a.apex + 8.0 + 4.0 * a.vertebra_height - a.vertebra_height * np.arange(22, dtype=np.float64)
    x, z = bend(a, y)
    z = -a.depth * 0.82 + z * 0.4
    size = a.vertebra_width * lerp(y, [a.base, a.apex, a.apex + 80.0], [1.2, 0.92, 0.75])
    half = a.vertebra_height * 0.41
    up, down = np.stack([x, y + half, z], axis=1), np.stack([x, y - half, z], axis=1)
    bodies = Tubes(up, down, size, size - 1.5, np.full(22, cortex), np.full(22, spongy))
    tip = np.stack([x, y - 8.0, z - 30.0], axis=1)
    root = np.stack([x, y + 2.0, z - 14.0], axis=1)
    processes = Tubes.solid(root, tip, 3.5, cortex)
    parts = [bodies, processes]
    for side in (-1.0, 1.0):
        root = np.stack([x + side * size * 0.55, y + 4.0, z - 12.0], axis=1)
        tip = np.stack([x + side * (size + 14.0), y + 3.0, z - 22.0], axis=1)
        parts.append(Tubes.solid(root, tip, 3.6, cortex * 0.8))
        pedicle = root - np.array([0.0, 0.0, 9.0])
        parts.append(Tubes.solid(root, pedicle, 4.0, cortex * 0.9))
    return Tubes.join(parts)


def girdle(a: Anatomy) -> Tubes:
    """Collar bones, shoulder blades, upper arm bones and the breastbone."""
    cortex, marrow = 0.022 * a.bone_density, 0.006 * a.bone_density
    parts = []
    top = a.apex - 8.0
    joint = a.shoulder_width - 30.0
    for side in (-1.0, 1.0):
        share = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        wave = arithmetic.sin(share * 6.0)
        x = side * (18.0 + share * (joint - 12.0)) + a.asymmetry * 60.0
        y = top - 14.0 + share * a.clavicle_slope + a.clavicle_bow * wave * 0.6 + a.shoulder_height * share
        z = 70.0 - 60.0 * share + a.clavicle_bow * wave
        parts.append(Tubes.along(np.stack([x, y, z], axis=1), a.clavicle_radius, cortex, marrow, 1.6))
        shoulder = np.array([side * joint, top - 12.0 + a.clavicle_slope + a.shoulder_height, -15.0])
        lean = a.arm_angle
        elbow = shoulder + np.array([side * (60.0 + 250.0 * lean), -260.0 + 100.0 * lean, 0.0])
        head = shoulder + np.array([side * 14.0, -12.0, 0.0])
        parts.append(Tubes.along(np.stack([shoulder, head]), 21.0, cortex * 0.7, marrow, 1.6))
        parts.append(Tubes.along(np.stack([head, elbow]), 11.5, cortex * 1.2, marrow * 0.5, 3.5))
        inner = side * (a.width * 0.62 + a.scapula_spread)
        low = np.array([inner + side * a.scapula_tilt, top - 135.0 + a.shoulder_height * 0.6, -85.0])
        corner = np.array([inner, top - 22.0 + a.shoulder_height * 0.6, -85.0])
        socket = shoulder + np.array([-side * 16.0, -8.0, -12.0])
        parts.append(Tubes.along(np.stack([socket, low]), 5.0, cortex, marrow, 1.5))
        parts.append(Tubes.along(np.stack([low, corner, socket]), 3.0, cortex * 0.7, marrow, 1.0))
        acromion = np.array([side * (joint + 10.0), shoulder[1] + 14.0, -35.0])
        parts.append(Tubes.along(np.stack([corner - np.array([0.0, 18.0, 0.0]), acromion]), 5.0, cortex, marrow, 1.4))
    front = np.array([[0.0, top - 25.0, 78.0], [0.0, top - 75.0, a.depth], [0.0, top - 165.0, a.depth]])
    parts.append(Tubes.along(front, 14.0, cortex * 0.35, marrow * 0.5, 2.0))
    return Tubes.join(parts)


def arms(a: Anatomy) -> Tubes:
    """Soft tissue of the upper arms."""
    parts = []
    for side in (-1.0, 1.0):
        x = side * (a.shoulder_width - 30.0)
        y = a.apex - 20.0 + a.clavicle_slope + a.shoulder_height
        points = np.array([[x, y, -12.0], [x + side * (60.0 + 250.0 * a.arm_angle), y - 260.0, -8.0]])
        parts.append(Tubes.along(points, a.arm_radius, 1.0, 1.0, 2.0))
    return Tubes.join(parts)
