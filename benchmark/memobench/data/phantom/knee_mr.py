"""Knee MR of the phantom: sagittal slices and volumes, from tissue to signal by the spin echo equation.

Then the coil's uneven reach, incomplete fat suppression, Rician noise and the display's window. Deterministic to the
byte on every platform from (version, seed, patient, scan, size): see ``arithmetic`` for what may be used here. Sizes
of one scan differ only in their sampling and their noise, which has a stream of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memobench.data.phantom import arithmetic
from memobench.data.phantom.knee import VERSION, Knee
from memobench.data.phantom.knee_tissues import hull, layers
from memobench.data.phantom.points import Points, cosine_and_sine
from memobench.data.phantom.random import Numbers, Stream
from memobench.data.phantom.shapes import Floats

DEPTH = 80.0  # mm, from the first to the last sagittal slice of a volume

# proton density, T1 and T2 in ms at 1.5 to 3 T (Gold et al., AJR 2004; de Bazelaire et al., Radiology 2004; rounded)
TISSUES = {
    "skin": (0.60, 800.0, 28.0),
    "fat": (1.00, 300.0, 90.0),
    "fascia": (0.35, 800.0, 14.0),
    "muscle": (0.85, 1100.0, 34.0),
    "void": (0.10, 1000.0, 20.0),
    "blood": (0.65, 1500.0, 60.0),
    "fluid": (1.00, 2800.0, 500.0),
    "synovium": (0.85, 1000.0, 50.0),
    "cartilage": (0.92, 1050.0, 42.0),
    "line": (0.30, 900.0, 12.0),
    "meniscus": (0.30, 800.0, 9.0),
    "ligament": (0.28, 800.0, 8.0),
    "cruciate": (0.50, 900.0, 20.0),
    "cortex": (0.12, 500.0, 5.0),
    "marrow": (0.90, 360.0, 70.0),
    "oedema": (0.95, 1200.0, 80.0),
}
FATTY = ("fat", "marrow")
PROTOCOLS = ("T1", "PD", "PD fat-suppressed", "T2 fat-suppressed")


@dataclass(frozen=True)
class Scan:
    """One examination: contrast, pose, coil, noise and window; lengths in mm, angles in radians."""

    protocol: str
    repetition: float  # ms
    echo: float  # ms
    fat_left: float  # share of fat's signal that suppression leaves
    fat_uneven: tuple[float, float]  # its slopes along y and z, per half field
    field: float  # side of the image
    flexion: float
    turn: float  # about the leg's axis
    tilt: float  # in the image plane
    shift: tuple[float, float]  # of the image along y and z
    at: float  # where the slice lies along x; the middle of a volume
    bias: tuple[float, float, float]  # slopes of the coil's sensitivity along x, y, z, per half field
    surface: float  # how much brighter it is near the coil than in the middle
    noise: float  # standard deviation as a share of white
    gain: float
    gamma: float


def acquisition(patient: int, scan: int, seed: int = 0, *, volume: bool = False) -> Scan:
    """Draw contrast, pose and technique of a scan; what a patient's scans share is drawn with the patient."""
    habit = Numbers(Stream("knee mr habit", VERSION, seed, patient), 8)
    protocol, at, field = habit.integer(0, len(PROTOCOLS)), habit.normal(0.0, 15.0, -29.0, 29.0), habit.normal(0.0, 9.0)
    flexion, height = habit.normal(0.06, 0.08, -0.08, 0.26), habit.normal(0.0, 6.0, -14.0, 14.0)
    s = Numbers(Stream("knee mr", VERSION, seed, patient, scan), 32)
    n, u = s.normal, s.uniform
    if s.chance(0.15):
        protocol = s.integer(0, len(PROTOCOLS))
    name = PROTOCOLS[protocol]
    suppressed = protocol >= 2
    return Scan(
        protocol=name,
        repetition=u(480.0, 720.0) if name == "T1" else u(2200.0, 4200.0),
        echo=u(10.0, 18.0) if name == "T1" else u(50.0, 75.0) if name.startswith("T2") else u(20.0, 40.0),
        fat_left=u(0.06, 0.22) if suppressed else 1.0,
        fat_uneven=(n(0.0, 0.06), n(0.0, 0.08)) if suppressed else (0.0, 0.0),
        field=min(max(148.0 + field, 128.0), 172.0) * n(1.0, 0.02, 0.95, 1.05),
        flexion=flexion + n(0.0, 0.03, -0.08, 0.08),
        turn=n(0.0, 0.05, -0.14, 0.14),
        tilt=n(0.0, 0.05, -0.14, 0.14),
        shift=(height + n(0.0, 3.0, -8.0, 8.0), n(0.0, 3.5, -9.0, 9.0)),
        at=n(0.0, 2.0) + (0.0 if volume else at),
        bias=(n(0.0, 0.10), n(0.0, 0.16, -0.4, 0.4), n(0.0, 0.16, -0.4, 0.4)),
        surface=n(0.15, 0.15, -0.15, 0.5),
        noise=u(0.012, 0.05),
        gain=n(1.0, 0.10, 0.75, 1.3),
        gamma=n(0.95, 0.10, 0.7, 1.25),
    )


def draw_slice(patient: int, scan: int, *, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """A sagittal slice at the patient's own position, (size, size) bytes: head up, patella on the left.

    >>> draw_slice(0, 0, size=32).shape
    (32, 32)
    """
    _check(size)
    q = acquisition(patient, scan, seed)
    signal = paint(Knee.of(patient, seed), q, np.array([q.at]), size)
    image: NDArray[np.uint8] = _finish(signal, q, Stream("knee mr noise", VERSION, seed, patient, scan, size, 0))[0]
    return image


def draw_volume(patient: int, scan: int, *, size: int, planes: int | None = None, seed: int = 0) -> NDArray[np.uint8]:
    """A stack of sagittal slices, (planes, size, size) bytes, each as ``draw_slice``, from one side to the other.

    Args:
        patient: Number of the patient.
        scan: Number of the scan.
        size: Rows and columns.
        planes: Slices, over the same depth; None for as many as rows.
        seed: Of another population.

    >>> draw_volume(0, 0, size=16).shape, draw_volume(0, 0, size=16, planes=8).shape
    ((16, 16, 16), (8, 16, 16))
    """
    _check(size)
    _check(planes or size)
    of_shape = () if planes in (None, size) else (planes,)
    q = acquisition(patient, scan, seed, volume=True)
    signal = paint(Knee.of(patient, seed), q, _centres(planes or size, DEPTH) + q.at, size)
    return _finish(signal, q, Stream("knee mr noise", VERSION, seed, patient, scan, size, 1, *of_shape))


def _check(size: int) -> None:
    if not 8 <= size <= 512:
        raise ValueError(f"a knee of {size} pixels cannot be drawn: take a size from 8 to 512")


def _centres(size: int, side: float) -> Floats:
    return (np.arange(size, dtype=np.float64) + 0.5) * (side / size) - 0.5 * side


def spin_echo(tissue: str, q: Scan) -> float:
    """Signal of a tissue: PD (1 - exp(-TR / T1)) exp(-TE / T2)."""
    density, t1, t2 = TISSUES[tissue]
    decay = arithmetic.exp(np.array([-q.repetition / t1, -q.echo / t2]))
    return density * (1.0 - float(decay[0])) * float(decay[1])


def paint(knee: Knee, q: Scan, slices: Floats, size: int) -> Floats:
    """Signal (slices, size, size): pose undone, tissues painted from back to front, the coil's reach.

    Args:
        knee: The patient's anatomy.
        q: The scan.
        slices: Positions of the slices along the scanner's x axis in mm.
        size: Rows and columns.
    """
    half, scale = 2.0 / q.field, 1.0 / knee.size
    lengths = _centres(size, q.field)
    values: dict[str, Floats | float] = {name: spin_echo(name, q) for name in TISSUES}
    fatty = {name: values[name] for name in FATTY}
    across, within = cosine_and_sine(q.turn), cosine_and_sine(q.tilt)
    # a few slices at a time: their arrays stay in the cache, and solids beside them are passed over
    together = max(1, 8192 // (size * size))
    slabs = []
    for first in range(0, len(slices), together):
        some = slices[first : first + together]
        x = np.repeat(some, size * size)
        y, z = np.tile(np.repeat(lengths, size), len(some)), np.tile(lengths, size * len(some))
        u, v, w = x * (1.0 / 40.0), y * half, z * half
        coil = 1.0 + q.bias[0] * u + q.bias[1] * v + q.bias[2] * w + q.surface * (w * w - 0.3)
        left = np.clip(q.fat_left + q.fat_uneven[0] * v + q.fat_uneven[1] * w, 0.05, 1.0)
        y, z = y - q.shift[0], z - q.shift[1]
        y, z = within[0] * y - within[1] * z, within[1] * y + within[0] * z
        x, z = across[0] * x - across[1] * z, across[1] * x + across[0] * z
        points = Points(x * (knee.side * scale), y * scale, z * scale, max(q.field / size, 1.0))
        surfaces = hull(knee, points, q.flexion)
        body = surfaces.skin < points.edge  # the air around it needs no painting
        values.update({name: whole * left[body] for name, whole in fatty.items()})
        signal = np.zeros(int(np.count_nonzero(body)))
        for name, share in layers(knee, points.take(body), q.flexion, surfaces.take(body)) if signal.size else ():
            if share.ndim:  # else a solid beside all points
                signal = signal + (values[name] - signal) * share
        slab = np.zeros(x.shape)
        slab[body] = signal * np.clip(coil[body], 0.25, 2.0)
        slabs.append(slab)
    return np.concatenate(slabs).reshape(len(slices), size, size)


def _finish(signal: Floats, q: Scan, stream: Stream) -> NDArray[np.uint8]:
    """Noise of the magnitude image (Gudbjartsson and Patz, MRM 1995), then the window."""
    order = np.sort(signal.reshape(-1), kind="stable")
    white = 1.1 * float(order[int(0.985 * order.size)])
    if q.fat_left < 1.0:  # little is bright: then the window is set by the cartilage
        usual = spin_echo("cartilage", q)
        white = min(max(white, 1.05 * usual), 1.5 * usual)
    real, imaginary = stream.normals((2, *signal.shape), q.noise)
    real = signal * (1.0 / white) + real
    magnitude = np.sqrt(real * real + imaginary * imaginary)
    return arithmetic.to_bytes(arithmetic.power(np.clip(magnitude * q.gain, 0.0, 1.0), q.gamma))
