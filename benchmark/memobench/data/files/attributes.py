"""Attributes of a DICOM data set: an optional one that is empty or cannot be read counts as missing, and is named."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

OPTIONAL = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "InstanceNumber", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("VOILUTFunction", "ModalityLUTSequence", "VOILUTSequence"),
)
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_LENGTH = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_WHOLE = ("InstanceNumber", "NumberOfFrames", "PixelPaddingValue", "PixelPaddingRangeLimit")
_POSITIVE = ("WindowWidth",)
_WORDS, _DECIMALS = ("UI", "CS", "LO", "SH"), ("DS", "IS")  # VRs
_NUMBERS = re.compile(r"[-+0-9.eE]+(\\[-+0-9.eE]+)*")

Vector = tuple[float, ...]


@cache
def _tag(name: str) -> BaseTag:
    return Tag(name)


def value(dataset: Dataset, name: str) -> Any:
    """An attribute's value; None where it is missing, empty or cannot be converted."""
    tag = _tag(name)
    try:
        element = dataset.get_item(tag)
        if element is None:
            return None
        found = element.value if isinstance(element, DataElement) else dataset[tag].value
    except Exception:  # pydicom raises whatever its converters raise, and the attribute is optional
        return None
    return None if found is None or (hasattr(found, "__len__") and not len(found)) else found


def _plain(dataset: Dataset, name: str, kinds: tuple[str, ...]) -> str | None:
    """An attribute of a text's VR that pydicom has not converted yet, if it is ASCII; conversion takes longer."""
    element = dataset.get_item(_tag(name))
    if not isinstance(element, RawDataElement) or element.VR not in kinds or not isinstance(element.value, bytes):
        return None
    content = element.value
    return content.decode("ascii").strip(" \0") if content.isascii() and b"\x1b" not in content else None


def text(dataset: Dataset, name: str) -> str:
    """An attribute as text without padding, "" where there is none."""
    plain = _plain(dataset, name, _WORDS)
    if plain is not None and "\\" not in plain:
        return plain
    found = value(dataset, name)
    return "" if found is None else str(found).strip(" \0")


def vector(dataset: Dataset, name: str) -> Vector | None:
    """An attribute of one or more finite numbers; None where there is none that makes sense under its name."""
    plain = _plain(dataset, name, _DECIMALS)
    if plain is not None and _NUMBERS.fullmatch(plain):
        parts: Any = plain.split("\\")
    else:
        found = value(dataset, name)
        if found is None:
            return None
        parts = found if hasattr(found, "__len__") and not isinstance(found, (str, bytes)) else [found]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    if not all(map(math.isfinite, numbers)) or len(numbers) != _LENGTH.get(name, len(numbers)):
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
    return tuple(name for name in OPTIONAL if _tag(name) in dataset and _is_odd(dataset, name))


def _is_odd(dataset: Dataset, name: str) -> bool:
    if name == "VOILUTFunction":
        return text(dataset, name).upper() not in FUNCTIONS
    if name in _TABLES:  # none at all is common and says that there is none
        table = value(dataset, name)
        return table is not None and (vector(table[0], "LUTDescriptor") is None or value(table[0], "LUTData") is None)
    return vector(dataset, name) is None or (name == "NumberOfFrames" and not whole(dataset, name))


def unreadable_rescale(dataset: Dataset) -> bool:
    """Whether slope, intercept or table hold something that cannot be read, so that the units are not known."""
    if "ModalityLUTSequence" in dataset and _is_odd(dataset, "ModalityLUTSequence"):
        return True
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
