"""What lies on or in a patient besides anatomy, and on the film: wires, devices, gas, breasts, letters, borders."""

from __future__ import annotations

import numpy as np

from memobench.data.phantom import torso
from memobench.data.phantom.shapes import Floats, Tubes, project

# strokes of the letters of a side marker, on a grid of 4 x 6
STROKES: tuple[tuple[tuple[float, float, float, float], ...], ...] = (
    (),
    ((0, 0, 0, 6), (0, 6, 4, 6)),
    ((0, 0, 0, 6), (0, 0, 4, 0), (4, 0, 4, 3), (0, 3, 4, 3), (1, 3, 4, 6)),
    ((0, 0, 0, 6), (0, 6, 4, 6), (-3, 9, 7, 9), (-3, 11, 5, 11)),
)


def tubes(a: torso.Anatomy) -> list[Tubes]:
    """Wires, lines and calcified walls as tubes with attenuation in 1/mm."""
    stream = a.stream("devices")
    parts: list[Tubes] = []
    if a.pacemaker:
        corner = np.array([95.0, 80.0, 105.0])
        box = corner + np.array([[0.0, 0.0, 0.0], [14.0, -6.0, 0.0], [22.0, -20.0, 0.0]])
        parts.append(Tubes.along(box, 15.0, 0.06, 0.06, 1.0))
        wire = np.array(
            [
                [90.0, 85.0, 100.0],
                [60.0, 105.0, 70.0],
                [10.0, 80.0, 30.0],
                [-22.0, 20.0, 20.0],
                [-10.0, -40.0, 30.0],
                [30.0, -60.0, 40.0],
            ]
        )
        parts.append(Tubes.along(wire, 1.3, 0.45, 0.45, 0.3))
    if a.port:
        spot = np.array([[-80.0, 70.0, 105.0], [-80.0, 71.0, 105.0]])
        parts.append(Tubes.along(spot, 11.0, 0.03, 0.015, 3.0))
        wire = np.array([[-75.0, 75.0, 100.0], [-45.0, 110.0, 70.0], [-20.0, 80.0, 20.0], [-24.0, 10.0, 10.0]])
        parts.append(Tubes.along(wire, 1.4, 0.12, 0.12, 0.3))
    if a.tubes:
        line = np.array([[0.0, 220.0, 20.0], [-3.0, 120.0, 0.0], [-4.0, 55.0 + 20.0 * stream.uniform(), -20.0]])
        parts.append(Tubes.along(line, 3.6, 0.03, 0.0, 0.8))
        neck = np.array([[-42.0, 170.0, 20.0], [-24.0, 100.0, 20.0], [-25.0, 10.0 + 30.0 * stream.uniform(), 10.0]])
        parts.append(Tubes.along(neck, 1.4, 0.1, 0.1, 0.3))
    for _ in range(a.leads):
        u = stream.uniforms(8)
        x = -200.0 + 400.0 * u[:4]
        y = np.stack([-190.0 + 0.0 * u[4], -120.0 + 180.0 * u[5], -60.0 + 180.0 * u[6], 20.0 + 160.0 * u[7]])
        x = x[0] + (x - x[0]) * 0.5
        points = np.stack([x, y, np.full(4, 115.0)], axis=1)
        parts.append(Tubes.along(_curve(points), 1.2, 0.3, 0.3, 0.3))
        parts.append(Tubes.along(np.stack([points[-1], points[-1] + np.array([0.0, 2.0, 0.0])]), 5.0, 0.08, 0.08, 1.0))
    if a.sternal_wires:
        for k in range(5):
            middle, level = stream.uniform(-3.0, 3.0), 60.0 - 28.0 * k
            loop = np.array(
                [
                    [middle - 7.0, level, 95.0],
                    [middle, level + 3.0, 98.0],
                    [middle + 7.0, level, 95.0],
                    [middle, level - 4.0, 95.0],
                ]
            )
            parts.append(Tubes.along(loop, 0.9, 0.5, 0.5, 0.3))
    if a.arch_calcified:
        r, right, high = a.arch_radius, a.aorta_offset + 4.0, a.arch_height - 4.0
        rim = np.array([[right, high + r, -20.0], [right + 0.7 * r, high + 0.7 * r, -25.0], [right + r, high, -30.0]])
        parts.append(Tubes.along(rim, 1.2, 0.07, 0.07, 0.3))
    return parts


def _curve(points: Floats) -> Floats:
    """Cut the corners of a chain of points twice (Chaikin)."""
    for _ in range(2):
        near, far = points[:-1] * 0.75 + points[1:] * 0.25, points[:-1] * 0.25 + points[1:] * 0.75
        inner = np.stack([near, far], axis=1).reshape(-1, 3)
        points = np.concatenate([points[:1], inner, points[-1:]])
    return points


def ellipsoids(a: torso.Anatomy) -> Floats:
    """Breasts and gas: rows of x, y, z, half axes along x, y, z (mm) and density relative to water."""
    stream = a.stream("soft")
    rows = []
    if a.breast_size > 0.05:
        for side in (-1.0, 1.0):
            size = a.breast_size * stream.uniform(0.86, 1.14)
            wide, high = 48.0 + 16.0 * size, 38.0 + 20.0 * size
            x, y = side * a.breast_spacing, a.breast_height - 12.0 * size
            rows.append([x, y, a.depth, wide, high, 20.0 * size, 0.9])
    top = a.base + a.dome_left
    if a.bubble > 0.0:
        rows.append([0.5 * a.width, top - 16.0 - 0.5 * a.bubble, 10.0, a.bubble, a.bubble * 0.62, a.bubble * 0.7, -0.9])
    for _ in range(a.bowel_gas):
        u = stream.uniforms(4)
        x, y = -90.0 + 200.0 * float(u[0]), a.base - 10.0 - 60.0 * float(u[1])
        size = 8.0 + 16.0 * float(u[2])
        rows.append([x, y, 20.0, size * (1.0 + float(u[3])), size, size, -0.8])
    return np.array(rows, dtype=np.float64).reshape(-1, 7)


def finish(
    image: Floats,
    letter: int,
    place: tuple[float, float],
    borders: tuple[tuple[float, float, float, float], float],
) -> Floats:
    """Put letters and the shut edges of the collimator on an image of [0, 1].

    Args:
        image: (size, size).
        letter: Index of ``STROKES``.
        place: Position of the letters, as shares of the image's side.
        borders: Widths of the left, right, top and bottom edges as shares, and their brightness.
    """
    size = image.shape[0]
    if STROKES[letter]:
        strokes = np.array(STROKES[letter]) * 0.007
        start = np.stack([place[0] + strokes[:, 0], place[1] + strokes[:, 1], np.zeros(len(strokes))], axis=1)
        end = np.stack([place[0] + strokes[:, 2], place[1] + strokes[:, 3], np.zeros(len(strokes))], axis=1)
        ink = project(Tubes.solid(start, end, 0.005, 100.0), size, 1.0 / size)
        image = np.minimum(image + np.minimum(ink, 1.0) * 0.8, 1.0)
    (left, right, top, bottom), tone = borders
    axis = np.arange(size, dtype=np.float64)
    across = np.clip(axis + 1.0 - left * size, 0.0, 1.0) * np.clip(size - axis - right * size, 0.0, 1.0)
    along = np.clip(axis + 1.0 - top * size, 0.0, 1.0) * np.clip(size - axis - bottom * size, 0.0, 1.0)
    open_share = along[:, None] * across[None, :]
    finished: Floats = image * open_share + tone * (1.0 - open_share)
    return finished
