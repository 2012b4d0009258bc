"""What reading a file gives: a header, its raw values, or a grey picture in [0, 1]; and how values become [0, 1].

The rule is one for every format and every command: values go through the file's own DICOM window where it has one
(the window of a public source's recipe takes its place), and are then scaled
by the image's own 0.5 to 99.5 percentile range, clipped. So neither bit depth nor unit nor offset counts: an image of
8 bit, the same in 16 bit (times 257), in Hounsfield units or as floating point in [0, 1] gives the same pixels, and one
file's pixels never depend on another's, which keeps the comparison of train and holdout fair. The price is that how
bright an image is as a whole is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.data.files.levels import Levels
from memobench.data.files.places import Place
from memobench.data.files.walk import shown

PERCENTILES = (0.5, 99.5)
BY_PERCENTILES = "scaled by the 0.5 to 99.5 percentile range of each"
IN_WINDOW = "shown in its DICOM window"
SCALING_VERSION = 4  # of the rule above; what was stored under another is read again
Convert = Callable[[NDArray[Any]], NDArray[Any]]
_LIMITS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0), "bool": (0.0, 1.0)}
_SLACK = 1e-6  # of a range: what rounding in float32 adds
_LEVELS = 2**20  # of brightness: coarser than rounding in float64, so that equal images are equal to the bit


class Unreadable(Exception):
    """A file that is no image to be used; the message is the reason, to be put behind the file's name."""

    def __init__(self, reason: str) -> None:
        """Keep the reason on one line that can be printed, since it may quote the file."""
        super().__init__(shown(reason))


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its pixels are decoded.

    Attributes:
        shape: Of one picture (H, W), or of one volume (D, H, W).
        frames: How many pictures or volumes of that shape the file holds one after the other.
        dim: The dimension that the file looks like when it is seen alone.
        patient: DICOM PatientID, "" where there is none.
        study: DICOM StudyInstanceUID, "" where there is none.
        series: DICOM SeriesInstanceUID of a single slice, "" where there is none.
        places: Where each DICOM frame stands in its series; empty for other formats.
        odd: Names of optional attributes that are empty or cannot be read, and so count as missing.
        patients: Of each frame, where the file itself names them (an NPZ batch); else empty.
        batch: Whether the frames are images of a batch, each of a patient of its own unless ``patients`` says.
        sliceable: Whether a volume (N, H, W) may as well be a batch of N images.
        doubts: What the file says in two ways or not at all, and how it was taken; a number of files follows.
        kind: Of the DICOM object, which all slices of a volume have in common; "" for other formats.
        localizer: Whether a DICOM slice is a localizer (scout), on which the slices of a series were planned.
        film: The attribute that says that the frames follow each other in time or otherwise than slices; else "".
    """

    shape: tuple[int, ...]
    frames: int = 1
    dim: int = 2
    patient: str = ""
    study: str = ""
    series: str = ""
    places: tuple[Place, ...] = ()
    odd: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    batch: bool = False
    sliceable: bool = False
    film: str = ""
    doubts: tuple[str, ...] = ()
    kind: str = ""
    localizer: bool = False


@dataclass(frozen=True)
class Raw:
    """Values as they are stored, upright, before they are scaled.

    Attributes:
        stored: (H, W) or (D, H, W), of any real dtype.
        spacing: Millimetres between neighbours along each axis; None where the file does not say.
        window: The file's own DICOM window, from the modality's units to brightness; None where there is none.
        inverted: Whether the smallest value means white.
        colour: Whether these are the luminances of a colour image.
        background: Where the values are padding (as ``stored``, bool); None where nothing is.
        units: From stored values of any shape to the modality's units, each by itself; None where they are the same.
        limits: Black and white, where the stored type says them (8 and 16 bit); else None.
    """

    stored: NDArray[Any]
    spacing: tuple[float, ...] | None = None
    window: Convert | None = None
    inverted: bool = False
    colour: bool = False
    background: NDArray[np.bool_] | None = None
    units: Convert | None = None
    limits: tuple[float, float] | None = None

    @property
    def values(self) -> NDArray[Any]:
        """As ``stored``, in the modality's units."""
        return self.stored if self.units is None else self.units(self.stored)


def type_limits(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Black and white of a type that says them itself.

    >>> type_limits(np.dtype(np.uint8)), type_limits(np.dtype(np.float32))
    ((0.0, 255.0), None)
    """
    return _LIMITS.get(dtype.name)


@dataclass(frozen=True)
class Picture:
    """A grey image or volume, ready but for its size.

    Attributes:
        shape: (H, W) or (D, H, W).
        draw: Gives its pixels, which take time and memory.
        sums: Of its brightness in whole steps, and of their squares, modulo 2^64: equal where the pixels are.
        low: The smallest value in the file's own units.
        high: The largest value in the file's own units.
        scaling: In words, how values became [0, 1].
        colour: Whether it was a colour image, of which the luminance is kept.
        kind: Of file (PNG, DICOM, ...), "" where it comes from none.
    """

    shape: tuple[int, ...]
    draw: Callable[[], NDArray[np.float32]]
    sums: tuple[int, int]
    low: float
    high: float
    scaling: str
    colour: bool = False
    kind: str = ""

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """(H, W) or (D, H, W) in [0, 1]."""
        return self.draw()


def picture(raw: Raw, within: str = IN_WINDOW) -> Picture:
    """Scale grey values to [0, 1].

    Padding is background: it takes the smallest real value. Where the smallest value means white it is drawn black,
    and does not count for the percentiles.

    Integers of at most 16 bits are not computed pixel by pixel: each value that occurs is converted once
    (:mod:`memobench.data.files.levels`), which gives the same pixels.

    Args:
        raw: The values as they are stored.
        within: What the window is called.

    Raises:
        Unreadable: The values are NaN, infinite or constant, or are all the same once they are in the window.

    >>> picture(Raw(np.array([[0, 51], [102, 255]]))).pixels.round(1).tolist()
    [[0.0, 0.20000000298023224], [0.4000000059604645, 1.0]]
    """
    padding = raw.background if raw.background is not None and raw.background.any() else None
    if padding is not None and padding.all():
        raise Unreadable("holds nothing but padding (PixelPaddingValue)")
    _check_type(raw.stored)
    real = raw.stored if padding is None else raw.stored[~padding]
    levels = Levels.of(real)
    each = real if levels is None else levels.values
    units = each if raw.units is None else raw.units(each)
    low, high = span(units)
    drawn = units if raw.window is None else raw.window(units)
    if drawn.min() == drawn.max():
        raise Unreadable(f"is constant once it is {within} (its values span {low:g} to {high:g})")
    # Padding that is drawn as the smallest value counts like it.
    padded = 0 if padding is None or raw.inverted else int(padding.sum())
    if levels is not None:
        ends = levels.ends(drawn, PERCENTILES, padded)
    else:
        ends = _ends(np.concatenate([drawn.ravel(), np.full(padded, drawn.min())]) if padded else drawn)
    unit = _between(drawn, *ends)
    if raw.inverted:
        unit = 1 - unit
    black = np.float32(0) if raw.inverted else unit.ravel()[int(drawn.argmin())]

    def draw() -> NDArray[np.float32]:
        pixels = _laid_out(raw.stored, unit, levels, padding)
        if padding is not None:
            pixels[padding] = black
        return pixels

    sums = _sums(unit, None if levels is None else levels.counts)
    if padding is not None:
        sums = (sums + _sums(np.atleast_1d(black), np.array([padding.sum()]))).astype(np.uint64)
    scaling = BY_PERCENTILES if raw.window is None else f"{within}, {BY_PERCENTILES}"
    return Picture(raw.stored.shape, draw, (int(sums[0]), int(sums[1])), low, high, scaling, raw.colour)


def _sums(unit: NDArray[np.float32], counts: NDArray[np.int64] | None) -> NDArray[np.uint64]:
    """The sum of brightnesses in steps, and of their squares, each so often, modulo 2^64."""
    steps = (unit.ravel() * np.float32(_LEVELS)).astype(np.uint64)
    if counts is None:
        return np.array([steps.sum(), (steps * steps).sum()], dtype=np.uint64)
    many = counts.astype(np.uint64)
    return np.array([(steps * many).sum(), (steps * steps * many).sum()], dtype=np.uint64)


def as_it_is(raw: Raw, value_range: tuple[float, float] | None = None) -> Picture:
    """Grey values as [0, 1] by one black and one white for all images; nothing is stretched, and even images may be.

    For synthetic images, which come as their generator drew them: an image of 8 bit is v / 255 to the bit. A window and
    padding are not regarded.

    Args:
        raw: The values as they are stored.
        value_range: Black and white; None for those of the type (8 and 16 bit), and 0 and 1 of floating point.

    Raises:
        Unreadable: NaN, infinite, or values outside; or nothing says which are black and white.

    >>> as_it_is(Raw(np.array([[-1, 0, 1]])), (-1, 1)).pixels.tolist()
    [[0.0, 0.5, 1.0]]
    """
    values = raw.values
    if not values.size or values.dtype.kind not in "biuf":
        raise Unreadable(f"holds {values.size} values of type {values.dtype}, no image")
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        raise Unreadable(f"holds {int((~finite).sum())} NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    known = value_range or raw.limits or ((0.0, 1.0) if values.dtype.kind == "f" else None)
    if known is None or not _within(low, high, known):
        outside = "" if known is None else f", outside {known[0]:g} to {known[1]:g}"
        raise Unreadable(
            f"holds {values.dtype} values from {low:g} to {high:g}{outside}; say which are black and white, "
            "--value-range -1,1 for example, or scale each image by its own range with --value-range each"
        )
    black, white = known
    unit = np.clip((values.astype(np.float64) - black) / (white - black), 0, 1).astype(np.float32)
    pixels = 1 - unit if raw.inverted else unit
    sums = _sums(pixels, None)
    scaling = f"{black:g} is black, {white:g} white"
    return Picture(values.shape, lambda: pixels, (int(sums[0]), int(sums[1])), low, high, scaling, raw.colour)


def _within(low: float, high: float, limits: tuple[float, float]) -> bool:
    slack = _SLACK * (limits[1] - limits[0])
    return limits[0] - slack <= low and high <= limits[1] + slack


def stretched(values: NDArray[Any]) -> NDArray[np.float32]:
    """Values of any unit to [0, 1] by their own percentile range, the same whatever their scale and offset.

    Where that range is empty, since nearly everything is background, the smallest and largest value stand for it.

    Args:
        values: (...,) finite real values, not all the same.

    >>> eight = np.arange(200, dtype=np.uint8)
    >>> bool(np.array_equal(stretched(eight), stretched(eight.astype(np.uint16) * 257)))
    True
    """
    levels = Levels.of(values)
    if levels is None:
        return _between(values, *_ends(values))
    return levels.spread_out(_between(levels.values, *levels.ends(levels.values, PERCENTILES)), values)


def _laid_out(
    stored: NDArray[Any], unit: NDArray[np.float32], levels: Levels | None, padding: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """The brightness of every pixel, from that of every level, or of every pixel that is not padding."""
    if levels is not None:
        return levels.spread_out(unit, stored)
    if padding is None:
        return unit
    pixels = np.zeros(stored.shape, dtype=np.float32)
    pixels[~padding] = unit
    return pixels


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """The percentile range, or, where it is empty, the smallest and largest value."""
    bottom, top = (float(edge) for edge in np.percentile(values, PERCENTILES))
    return (bottom, top) if bottom != top else (float(values.min()), float(values.max()))


def _between(values: NDArray[Any], bottom: float, top: float) -> NDArray[np.float32]:
    unit = np.clip((values.astype(np.float64) - bottom) / (top - bottom), 0, 1)
    return (np.rint(unit * _LEVELS) / _LEVELS).astype(np.float32)


def _check_type(values: NDArray[Any]) -> None:
    if not values.size:
        raise Unreadable(f"has no pixels (its shape is {'x'.join(map(str, values.shape))})")
    if values.dtype.kind not in "biuf":
        raise Unreadable(f"holds values of type {values.dtype}, not real numbers")


def span(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        Unreadable: The values are none, no real numbers, NaN, infinite, or constant.

    >>> span(np.array([[3, 1], [2, 2]]))
    (1.0, 3.0)
    """
    _check_type(values)
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        raise Unreadable(f"holds {int((~finite).sum())} NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise Unreadable(f"is constant (every value is {low:g})")
    return low, high


def grey(values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """The luminance of a colour image (ITU-R BT.601), or its first channel where all three are equal.

    Args:
        values: (..., C) with red, green, blue first; further channels (opacity) are left out. With C = 1 or 2 the
            first channel is grey.

    Returns:
        (...,) the luminance in the same units, and whether there was colour.

    >>> grey(np.array([[[7, 7, 7]]])), grey(np.array([[[255, 0, 0]]]))[1]
    ((array([[7]]), False), True)
    """
    if values.shape[-1] < 3:
        return values[..., 0], False
    red, green, blue = (values[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red, False
    return values[..., :3].astype(np.float64) @ np.array([0.299, 0.587, 0.114]), True
