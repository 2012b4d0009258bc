"""Attributes of a DICOM data set: an optional one that is empty or cannot be read counts as missing, and is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

OPTIONAL = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "InstanceNumber", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)
_LENGTH = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_WHOLE = ("InstanceNumber", "NumberOfFrames", "PixelPaddingValue", "PixelPaddingRangeLimit")
_POSITIVE = ("WindowWidth",)

Vector = tuple[float, ...]


def value(dataset: Dataset, name: str) -> Any:
    """An attribute's value; None where it is missing, empty or cannot be converted."""
    try:
        found = dataset.get(name)
    except Exception:  # pydicom raises whatever its converters raise, and the attribute is optional
        return None
    return None if found is None or (hasattr(found, "__len__") and not len(found)) else found


def text(dataset: Dataset, name: str) -> str:
    """An attribute as text without padding, "" where there is none."""
    found = value(dataset, name)
    return "" if found is None else str(found).strip(" \0")


def vector(dataset: Dataset, name: str) -> Vector | None:
    """An attribute of one or more finite numbers; None where there is none that makes sense under its name."""
    found = value(dataset, name)
    if found is None:
        return None
    parts = found if hasattr(found, "__len__") and not isinstance(found, (str, bytes)) else [found]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(numbers).all() or len(numbers) != _LENGTH.get(name, len(numbers)):
        return None
    if name in _WHOLE and numbers[0] != int(numbers[0]):
        return None
    if (name == "RescaleSlope" and numbers[0] == 0) or (name in _POSITIVE and not numbers[0] > 0):
        return None
    return numbers


def number(dataset: Dataset, name: str) -> float | None:
    """The first number of an attribute; None where there is none that makes sense under its name."""
    found = vector(dataset, name)
    return None if found is None else found[0]


def whole(dataset: Dataset, name: str) -> int | None:
    """As :func:`number`, an integer."""
    found = number(dataset, name)
    return None if found is None else int(found)


def odd(dataset: Dataset) -> tuple[str, ...]:
    """The optional attributes that are there, but empty or not to be read.

    A number of frames of 0 is one of them.
    """
    return tuple(
        name
        for name in OPTIONAL
        if name in dataset
        and (vector(dataset, name) is None or (name == "NumberOfFrames" and not whole(dataset, name)))
    )


def unreadable_rescale(dataset: Dataset) -> bool:
    """Whether slope or intercept hold something that is no number, so that the units are not known."""
    for name in ("RescaleSlope", "RescaleIntercept"):
        if name not in dataset or vector(dataset, name) is not None:
            continue
        try:
            found = dataset.get(name)
        except Exception:  # as in value
            return True
        if found is not None and str(found).strip():
            return True
    return False
