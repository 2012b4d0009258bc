"""The stored values of a DICOM frame: taken out of their cells of 8, 16 or more bits, and which of them are padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from memobench.data.files import compression
from memobench.data.files.attributes import text, value, whole
from memobench.data.files.picture import Unreadable

GREY = ("MONOCHROME1", "MONOCHROME2")
_CELLS = (8, 16)


@dataclass(frozen=True)
class _Layout:
    """How grey integers stand in their cells."""

    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool


def stored_values(dataset: Dataset, frame: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """(H, W) or (H, W, C) values as they are stored, and where they are padding.

    Args:
        dataset: The whole file, checked (:mod:`memobench.data.files.dicom`).
        frame: From 0.

    Raises:
        Unreadable: The frame is damaged, or HighBit is at odds with the pixels.
    """
    compression.check_frame(dataset, frame)
    layout = _layout(dataset)
    if layout is None:
        values: NDArray[Any] = compression.decoded(dataset, lambda: pixel_array(dataset, index=frame))
        return values, _padding(dataset, values, None)
    cells = _cells(dataset, layout, frame)
    values = _taken_out(dataset, layout, cells)
    return values, _padding(dataset, values, cells)


def _layout(dataset: Dataset) -> _Layout | None:
    """How the file holds grey integers in cells of 8 or 16 bits whose bits are there as they were written; else None.

    Raises:
        Unreadable: It declares more bits than a cell has.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if value(dataset, "PixelData") is None or text(dataset, "PhotometricInterpretation") not in GREY:
        return None
    allocated, stored = whole(dataset, "BitsAllocated") or 0, whole(dataset, "BitsStored") or 0
    sign = whole(dataset, "PixelRepresentation")
    if allocated not in _CELLS or whole(dataset, "SamplesPerPixel") != 1 or sign not in (0, 1):
        return None
    if not 1 <= stored <= allocated:
        raise Unreadable(f"declares {stored} bits in cells of {allocated} (BitsStored, BitsAllocated); it is damaged")
    if syntax != RLELossless and (compression.packed(syntax) or syntax == ExplicitVRBigEndian):
        return None
    rows, columns = whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0
    return _Layout(rows, columns, allocated, stored, bool(sign))


def _cells(dataset: Dataset, layout: _Layout, frame: int) -> NDArray[Any]:
    """(H, W) unsigned cells with all their bits."""
    width = layout.allocated // 8
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        values = compression.decoded(dataset, lambda: pixel_array(dataset, index=frame, correct_unused_bits=False))
        return values.view(f"u{width}")
    content: bytes = dataset.PixelData
    count = layout.rows * layout.columns
    return np.frombuffer(content, f"<u{width}", count, frame * count * width).reshape(layout.rows, layout.columns)


def _taken_out(dataset: Dataset, layout: _Layout, cells: NDArray[Any]) -> NDArray[Any]:
    """The BitsStored bits up to HighBit, as signed or unsigned integers; what else a cell holds is left out.

    Where HighBit says that the values do not begin at the lowest bit, the pixels must agree.
    """
    allocated, stored = layout.allocated, layout.stored
    kind = np.dtype(f"i{allocated // 8}" if layout.signed else f"u{allocated // 8}")
    native = cells.astype(cells.dtype.newbyteorder("="), copy=False)
    if stored == allocated:
        return native.view(kind)
    below = _below(dataset, layout, native)
    plain, (low, high) = native.view(kind), _range(stored, layout.signed)
    if not below and low <= plain.min() and plain.max() <= high:
        return plain
    if layout.signed:
        return np.asarray((native << (allocated - stored - below)).view(kind) >> (allocated - stored))
    return np.asarray((native >> below if below else native) & native.dtype.type(2**stored - 1))


def _below(dataset: Dataset, layout: _Layout, cells: NDArray[Any]) -> int:
    """How many bits of each cell lie below the value.

    Raises:
        Unreadable: HighBit and the pixels contradict each other.
    """
    stored, high = layout.stored, whole(dataset, "HighBit")
    below = 0 if high is None else high + 1 - stored
    if below == 0:
        return 0
    used = int(np.bitwise_or.reduce(cells, axis=None))
    if 0 < below <= layout.allocated - stored and not used & (2**below - 1):
        return below
    if not used >> stored:  # the header alone is wrong
        return 0
    raise Unreadable(f"is at odds with its header: HighBit {high} and BitsStored {stored} do not fit its pixels")


def _padding(dataset: Dataset, stored: NDArray[Any], cells: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    """Where values are padding: PixelPaddingValue, or up to PixelPaddingRangeLimit (PS3.3, C.7.5.1.1.2).

    A value that needs more bits than BitsStored is looked for in the whole cells.
    """
    for name in ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue"):
        if stored.dtype.kind == "f" and name in dataset:
            found = value(dataset, name)
            return None if found is None else np.asarray(np.isnan(stored) if np.isnan(found) else stored == found)
    first = whole(dataset, "PixelPaddingValue")
    if first is None or stored.dtype.kind == "f" or stored.ndim != 2:
        return None
    last = whole(dataset, "PixelPaddingRangeLimit")
    signed, bits = bool(dataset.PixelRepresentation), int(dataset.BitsAllocated)
    edges = [_as_stored(edge, bits, signed) for edge in (first, first if last is None else last)]
    low, high = _range(int(dataset.BitsStored), signed)
    if cells is not None and not (low <= min(edges) and max(edges) <= high):
        native = cells.astype(cells.dtype.newbyteorder("="), copy=False)
        stored = native.view(f"{'i' if signed else 'u'}{native.dtype.itemsize}")
    if min(edges) == max(edges):
        return np.asarray(stored == edges[0])
    return np.asarray((stored >= min(edges)) & (stored <= max(edges)))


def _range(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def _as_stored(edge: int, bits: int, signed: bool) -> int:
    """A padding value by its bits, since its VR (US or SS) is often not that of the pixels.

    >>> _as_stored(63536, 16, True), _as_stored(-2000, 16, False)
    (-2000, 63536)
    """
    turn: int = 2**bits
    if signed and edge >= turn // 2:
        return edge - turn
    return edge + turn if not signed and edge < 0 else edge
