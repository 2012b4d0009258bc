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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.data.files.places import Place
from memobench.data.files.walk import shown

PERCENTILES = (0.5, 99.5)
BY_PERCENTILES = "scaled by the 0.5 to 99.5 percentile range of each"
IN_WINDOW = "shown in its DICOM window"
SCALING_VERSION = 3  # of the rule above; what was stored under another is read again
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


@dataclass(frozen=True)
class Raw:
    """Values as they are stored, upright and in the modality's units, before they are scaled.

    Attributes:
        values: (H, W) or (D, H, W), of any real dtype.
        spacing: Millimetres between neighbours along each axis; None where the file does not say.
        window: The file's own DICOM window, from values to brightness; None where there is none.
        inverted: Whether the smallest value means white.
        colour: Whether these are the luminances of a colour image.
        background: Where the values are padding (as ``values``, bool); None where nothing is.
        limits: Black and white, where the stored type says them (8 and 16 bit); else None.
    """

    values: NDArray[Any]
    spacing: tuple[float, ...] | None = None
    window: Callable[[NDArray[Any]], NDArray[np.floating]] | None = None
    inverted: bool = False
    colour: bool = False
    background: NDArray[np.bool_] | None = None
    limits: tuple[float, float] | None = None


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
        pixels: (H, W) or (D, H, W) float32 in [0, 1].
        low: The smallest value in the file's own units.
        high: The largest value in the file's own units.
        scaling: In words, how values became [0, 1].
        colour: Whether it was a colour image, of which the luminance is kept.
        kind: Of file (PNG, DICOM, ...), "" where it comes from none.
    """

    pixels: NDArray[np.float32]
    low: float
    high: float
    scaling: str
    colour: bool = False
    kind: str = ""


def picture(raw: Raw, within: str = IN_WINDOW) -> Picture:
    """Scale grey values to [0, 1].

    Padding is background: it takes the smallest real value. Where the smallest value means white it is drawn black,
    and does not count for the percentiles.

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
    low, high = span(raw.values if padding is None else raw.values[~padding])
    drawn = raw.values if raw.window is None else raw.window(raw.values)
    real = drawn if padding is None else drawn[~padding]
    if real.min() == real.max():
        raise Unreadable(f"is constant once it is {within} (its values span {low:g} to {high:g})")
    scaling = BY_PERCENTILES if raw.window is None else f"{within}, {BY_PERCENTILES}"
    if padding is None:
        pixels = 1 - stretched(drawn) if raw.inverted else stretched(drawn)
    elif raw.inverted:
        pixels = np.where(padding, np.float32(0), 1 - stretched(drawn, counted=~padding))
    else:
        pixels = stretched(np.where(padding, real.min(), drawn))
    return Picture(pixels, low, high, scaling, raw.colour)


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
    scaling = f"{black:g} is black, {white:g} white"
    return Picture(1 - unit if raw.inverted else unit, low, high, scaling, raw.colour)


def _within(low: float, high: float, limits: tuple[float, float]) -> bool:
    slack = _SLACK * (limits[1] - limits[0])
    return limits[0] - slack <= low and high <= limits[1] + slack


def stretched(values: NDArray[Any], counted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Values of any unit to [0, 1] by their own percentile range, the same whatever their scale and offset.

    Where that range is empty, since nearly everything is background, the smallest and largest value stand for it.

    Args:
        values: (...,) finite real values, not all the same.
        counted: Which of them make the percentile range, as ``values``; None for all.

    >>> eight = np.arange(200, dtype=np.uint8)
    >>> bool(np.array_equal(stretched(eight), stretched(eight.astype(np.uint16) * 257)))
    True
    """
    sample = values if counted is None else values[counted]
    bottom, top = (float(edge) for edge in np.percentile(sample, PERCENTILES))
    if bottom == top:
        bottom, top = float(sample.min()), float(sample.max())
    unit = np.clip((values.astype(np.float64) - bottom) / (top - bottom), 0, 1)
    return (np.rint(unit * _LEVELS) / _LEVELS).astype(np.float32)


def span(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        Unreadable: The values are none, no real numbers, NaN, infinite, or constant.

    >>> span(np.array([[3, 1], [2, 2]]))
    (1.0, 3.0)
    """
    if not values.size:
        raise Unreadable(f"has no pixels (its shape is {'x'.join(map(str, values.shape))})")
    if values.dtype.kind not in "biuf":
        raise Unreadable(f"holds values of type {values.dtype}, not real numbers")
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
