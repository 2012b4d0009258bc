"""Images from Python: whatever arrays, tensors and lists people have, as (N, *S) grey values in [0, 1].

Every function that takes images from Python reads them here. What an array does not say by itself is asked in one
line and never guessed: which axis is which (``axes``), and which values mean black and white (``value_range``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, UsageError
from memobench.data.files.picture import grey, stretched
from memobench.images import Images

Range = tuple[float, float]
COLOURS = (3, 4)  # red, green, blue, and opacity
_DTYPES = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0), "bool": (0.0, 1.0)}  # types that say their own range
_SLACK = 1e-6  # of the range: what rounding in float32 adds
_KNOWN = ("NHW", "HWN", "NCHW", "NHWC", "NDHW", "DHWN", "NCDHW", "NDHWC")


@dataclass(frozen=True)
class Reading:
    """How arrays are to be read where they do not say it themselves.

    Attributes:
        value_range: The values of black and white, for example (-1, 1); one pair for all sets, or one per set by name.
            None: of unsigned integers of 8 and 16 bit the range of the type, of floating point 0 to 1.
        axes: One letter per axis: N images, C channels, D slices, H height, W width, for example "NCHW". None: by the
            shape, where it is clear.

    Raises:
        UsageError: These are no axes, or no range.
    """

    value_range: Range | Mapping[str, Range] | None = None
    axes: str | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.axes is not None and self.axes.upper() not in _KNOWN:
            raise UsageError(f'axes "{self.axes}" are not known; give one of {", ".join(_KNOWN)}')
        ranges = self.value_range.values() if isinstance(self.value_range, Mapping) else [self.value_range]
        for one in ranges:
            if one is not None and not (len(one) == 2 and np.isfinite(one).all() and one[0] < one[1]):
                raise UsageError(f"value_range {one} is no pair of black and white; give (-1, 1) for example")

    def range_of(self, name: str) -> Range | None:
        """The range of a set; None where its values are to say it."""
        if isinstance(self.value_range, Mapping):
            return self.value_range.get(name)
        return self.value_range


AS_THEY_ARE = Reading()


def pixels_of(given: Any, name: str, reading: Reading = AS_THEY_ARE) -> NDArray[np.float32]:
    """Images as (N, *S) float32 in [0, 1], S being (H, W) or (D, H, W); colour becomes luminance (ITU-R BT.601).

    Args:
        given: An array or a torch tensor on any device, (N, H, W), (N, D, H, W), with or without an axis of 1, 3 or 4
            channels behind the first or at the end; or a sequence of such single images, or of PIL images.
        name: What they are, for messages.
        reading: What the arrays do not say.

    Raises:
        DataError: They are no images, or have to be explained; the message says how.
    """
    if isinstance(given, list | tuple):
        values, axes = _stacked([_array(one, f"{name} image {k}") for k, one in enumerate(given)], name, reading)
    else:
        values, axes = _array(given, name), reading.axes
    axes = (axes or _axes(values.shape, name)).upper()
    if len(axes) != values.ndim:
        raise DataError(f'{name} is of shape {_size(values.shape)}, which axes "{axes}" do not describe; correct axes')
    kind = str(values.dtype)
    if "C" in axes:
        values = np.moveaxis(values, axes.index("C"), -1)
        if values.shape[-1] not in (1, *COLOURS):
            raise DataError(f"{name} has {values.shape[-1]} channels; give grey or colour images, one channel each")
        values = _grey(values, name)
    values = np.moveaxis(values, axes.replace("C", "").index("N"), 0)
    return _scaled(values, kind, name, reading.range_of(name))


def images_of(
    given: Any,
    name: str,
    patients: Sequence[str] | None = None,
    reading: Reading = AS_THEY_ARE,
    *,
    stretch: bool = True,
) -> Images:
    """Images as an audit compares them: each scaled by its own percentile range, as if it had come as a file.

    Args:
        given: As :func:`pixels_of` takes them.
        name: What they are, for messages.
        patients: (N,) whose each is; None if each is of another patient.
        reading: What the arrays do not say.
        stretch: Whether each is scaled by its own range; else one range holds for all.

    Raises:
        DataError: They are no images, have to be explained, or there is not one patient for each.
    """
    pixels = pixels_of(given, name, reading)
    scans = np.array([f"{name} {k}" for k in range(len(pixels))], dtype=np.str_)
    if not stretch:
        return Images(pixels, _patients(patients, scans, name), scans)
    scaled = [image if image.min() == image.max() else stretched(image) for image in pixels]
    return Images(np.stack(scaled) if scaled else pixels, _patients(patients, scans, name), scans)


def same_shape(sets: Mapping[str, Images]) -> None:
    """Refuse sets whose images differ in shape.

    Raises:
        DataError: They do; the message names both.
    """
    (first, images), *others = sets.items()
    for name, other in others:
        if len(other) and len(images) and other.shape != images.shape:
            raise DataError(
                f"{first} holds images of {_size(images.shape)} and {name} of {_size(other.shape)}; bring all to one "
                "shape (or give folders, which are brought to one)"
            )


def _patients(patients: Sequence[str] | None, scans: NDArray[np.str_], name: str) -> NDArray[np.str_]:
    if patients is None:
        return scans
    ids = list(patients)
    if len(ids) != len(scans):
        raise DataError(f"{name} has {len(scans)} images and {len(ids)} patients; give one patient for each image")
    lacking = [k for k, one in enumerate(ids) if one is None or one != one or not str(one).strip()]  # NaN too
    if lacking:
        raise DataError(f"{name}: image {lacking[0]} has no patient ({len(lacking)} in all); give every image one")
    return np.array([str(one) for one in ids], dtype=np.str_)


def _array(given: Any, name: str) -> NDArray[Any]:
    """One array of numbers from whatever holds one."""
    if hasattr(given, "detach") and hasattr(given, "cpu"):  # a torch tensor, on any device, with or without gradient
        tensor = given.detach().cpu()
        given = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    elif hasattr(given, "getbands") and hasattr(given, "convert"):  # a PIL image
        return _picture(given)
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise DataError(f"{name} has masked values; fill them first, with .filled(0) for example")
    if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__array__"):
        raise DataError(f"{name} is a {type(given).__name__}; give an array, a tensor, or a list of images")
    try:
        values = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{name} is no array ({str(error).splitlines()[0]}); give one of numbers") from error
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} holds values of type {values.dtype}; give real numbers")
    return values


def _picture(image: Any) -> NDArray[Any]:
    """A PIL image as (H, W): grey as it is, anything else as luminance."""
    mode = image.mode
    if mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif mode not in ("L", "I", "F") and not mode.startswith("I;"):
        image = image.convert("RGB")
    values = np.asarray(image)
    return grey(values)[0] if values.ndim == 3 else values


def _stacked(images: list[NDArray[Any]], name: str, reading: Reading) -> tuple[NDArray[Any], str | None]:
    """Single images one behind the other, with the axes that were given, of which they lack the first."""
    if not images:
        return np.zeros((0, 1, 1), dtype=np.float32), "NHW"
    first = images[0]
    for k, other in enumerate(images):
        if other.shape != first.shape or other.dtype != first.dtype:
            raise DataError(
                f"{name}: image 0 is {first.dtype} {_size(first.shape)} and image {k} {other.dtype} "
                f"{_size(other.shape)}; give all in one shape and type"
            )
    axes = reading.axes.upper() if reading.axes else None
    if axes and not axes.startswith("N"):
        raise DataError(f'{name} is a list of images, and axes "{axes}" do not begin with N; give N and their axes')
    return np.stack(images), axes


def _axes(shape: tuple[int, ...], name: str) -> str:
    """What the axes of a set mean, where the shape leaves no doubt."""

    def ask(choices: str) -> DataError:
        return DataError(f"{name} of shape {_size(shape)} can be read in several ways; say which by axes={choices}")

    if len(shape) == 3:
        if shape[2] in (1, *COLOURS) and min(shape[:2]) > 4:
            raise DataError(
                f"{name} of shape {_size(shape)} looks like one image with channels; give several images as "
                f"(N, H, W, {shape[2]}), one as array[None], or say axes='NHW'"
            )
        if shape[0] == shape[1] != shape[2] and shape[0] > 4:
            raise ask("'NHW' or 'HWN'")
        return "NHW"
    if len(shape) == 4:
        ahead, behind = shape[1] in (1, *COLOURS), shape[3] in (1, *COLOURS)
        if (ahead and behind) or 2 in (shape[1], shape[3]):
            raise ask("'NCHW', 'NHWC' or 'NDHW'")
        if shape[0] == shape[1] == shape[2] != shape[3] and not behind:
            raise ask("'NDHW' or 'DHWN'")
        return "NCHW" if ahead else "NHWC" if behind else "NDHW"
    if len(shape) == 5:
        ahead, behind = shape[1] in (1, *COLOURS), shape[4] in (1, *COLOURS)
        if ahead != behind:
            return "NCDHW" if ahead else "NDHWC"
        raise ask("'NCDHW' or 'NDHWC'")
    raise DataError(
        f"{name} is of shape {_size(shape)}; give (N, H, W) or (N, D, H, W), with or without channels; a single image "
        "is given as array[None]"
    )


def _grey(values: NDArray[Any], name: str) -> NDArray[Any]:
    """(N, ...) from (N, ..., C); opacity has to be full, as what is see-through has no known grey."""
    if values.shape[-1] == 4 and values.size and values[..., 3].min() != values[..., 3].max():
        raise DataError(f"{name} has a fourth channel that varies; give red, green and blue alone, or one channel")
    return grey(values)[0]


def _scaled(values: NDArray[Any], kind: str, name: str, wanted: Range | None) -> NDArray[np.float32]:
    """Values as [0, 1] by a range that was given, or that the type says in which they came."""
    if not values.size:
        return np.zeros(values.shape, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        bad = ~np.isfinite(values)
        where = int(np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))[0])
        raise DataError(f"{name} holds {int(bad.sum())} NaN or infinite values, first in image {where}; replace them")
    black, white = wanted or _DTYPES.get(kind, (0.0, 1.0))
    slack = _SLACK * (white - black)
    unsaid = wanted is None and kind not in _DTYPES and not kind.startswith("float")
    if unsaid or low < black - slack or high > white + slack:
        outside = "" if unsaid else f", outside {black:g} to {white:g}"
        raise DataError(
            f"{name} holds {kind} values from {low:g} to {high:g}{outside}; say which are black and white, for example "
            f"value_range={_guess(low, high)}, or {{'{name}': {_guess(low, high)}}} for this set alone"
        )
    if wanted is not None and black == -white and low >= 0:
        raise DataError(
            f"{name} holds no value below 0, so that {black:g} to {white:g} cannot be its range; give each set its "
            f"own, for example value_range={{'{name}': (0, 1)}}"
        )
    unit = (values.astype(np.float64) - black) / (white - black)
    return np.clip(unit, 0, 1).astype(np.float32)


def _guess(low: float, high: float) -> str:
    """A range that people use and that holds the values, as an example in a message."""
    for black, white in ((0, 1), (-1, 1), (0, 255), (-1024, 3071), (0, 4095), (0, 65535)):
        if black <= low and high <= white:
            return f"({black}, {white})"
    return f"({low:g}, {high:g})"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
