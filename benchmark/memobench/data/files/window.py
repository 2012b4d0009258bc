"""DICOM's transformations: stored values to the modality's units (PS3.3, C.11.1), and those to brightness (C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from memobench.data.files.attributes import FUNCTIONS, number, text, value, vector


class Window(Protocol):
    """How a file wants its values to be shown."""

    def apply(self, values: NDArray[Any]) -> NDArray[np.floating]:
        """Values of any shape in the modality's units to brightness in [0, 1]."""


@dataclass(frozen=True)
class CentreWidth:
    """A window by its centre and width (PS3.3, C.11.2.1.2 and C.11.2.1.3).

    >>> CentreWidth(50, 100, "LINEAR_EXACT").apply(np.array([-10, 0, 25, 100, 200])).tolist()
    [0.0, 0.0, 0.25, 1.0, 1.0]
    """

    centre: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: NDArray[Any]) -> NDArray[np.floating]:
        """Values to [0, 1] by the function LINEAR, LINEAR_EXACT or SIGMOID."""
        x = values.astype(np.float64)
        if self.function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (x - self.centre) / self.width, -700, 700))))
        if self.function == "LINEAR_EXACT" or self.width <= 1:
            return np.asarray(np.clip((x - self.centre) / self.width + 0.5, 0, 1))
        return np.asarray(np.clip((x - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1))


@dataclass(frozen=True)
class Table:
    """A look-up table: the entry of each value, the first from ``first`` on downwards.

    >>> Table(10, 8, np.array([0, 51, 255], np.uint16).tobytes()).of(np.array([3, 11, 99])).tolist()
    [0, 51, 255]
    """

    first: int
    bits: int
    entries: bytes  # uint16 of this machine's byte order; as bytes, two tables can be compared

    def of(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """The entries of values of any shape; those outside the table get its ends."""
        table = np.frombuffer(self.entries, dtype=np.uint16)
        first = self.first
        if first >= 2**15 and values.min() < 0:  # a negative first value, read as unsigned (implicit VR)
            first -= 2**16
        index = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
        return np.asarray(table[index])


@dataclass(frozen=True)
class LookUpTable:
    """A VOI LUT (PS3.3, C.11.2.1.1).

    >>> LookUpTable(Table(10, 8, np.array([0, 51, 255], np.uint16).tobytes())).apply(np.array([3, 11])).tolist()
    [0.0, 0.2]
    """

    table: Table

    def apply(self, values: NDArray[Any]) -> NDArray[np.floating]:
        """Values to [0, 1]."""
        # Entries of 12 bit in a table that claims 8 are common; the largest entry then says the depth.
        bits = max(self.table.bits, int(np.frombuffer(self.table.entries, dtype=np.uint16).max()).bit_length())
        return np.asarray(self.table.of(values) / (2**bits - 1))


class Units(Protocol):
    """How stored values become the modality's units."""

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Stored values of any shape to the modality's units."""


@dataclass(frozen=True)
class Rescale:
    """RescaleSlope and RescaleIntercept (PS3.3, C.11.1.1.2).

    >>> Rescale(2.0, -1024.0).apply(np.array([0, 1, 2], dtype=np.int16)).tolist()
    [-1024.0, -1022.0, -1020.0]
    """

    slope: float
    intercept: float

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Stored values to the modality's units."""
        return values.astype(np.float64) * self.slope + self.intercept


@dataclass(frozen=True)
class ModalityTable:
    """A modality LUT (PS3.3, C.11.1.1.1)."""

    table: Table

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Stored values to the modality's units."""
        return self.table.of(values)


def units_of(dataset: Dataset, modality: Dataset) -> Units | None:
    """The modality LUT, or the rescaling; None where there is none that can be read, or it changes nothing.

    Args:
        dataset: The whole file, for its byte order.
        modality: Where the attributes stand: the file itself, or an item of PixelValueTransformationSequence.
    """
    if sequence := value(modality, "ModalityLUTSequence"):
        table = _table(dataset, sequence[0])
        if table is not None:
            return ModalityTable(table)
    slope, intercept = number(modality, "RescaleSlope"), number(modality, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    return Rescale(1.0 if slope is None else slope, 0.0 if intercept is None else intercept)


def window_of(dataset: Dataset, voi: Dataset) -> Window | None:
    """The first VOI LUT or window, a LUT before a window; None where there is none that can be used.

    Args:
        dataset: The whole file, for its byte order.
        voi: Where the attributes stand: the file itself, or an item of a frame's FrameVOILUTSequence.
    """
    if sequence := value(voi, "VOILUTSequence"):
        table = _table(dataset, sequence[0])
        if table is not None:
            return LookUpTable(table)
    centre, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    if centre is None or width is None:
        return None
    function = text(voi, "VOILUTFunction").upper()
    return CentreWidth(centre, width, function if function in FUNCTIONS else "LINEAR")


def _table(dataset: Dataset, item: Dataset) -> Table | None:
    descriptor, data = vector(item, "LUTDescriptor"), value(item, "LUTData")
    if descriptor is None or len(descriptor) != 3 or data is None:
        return None
    count, first, bits = (int(part) for part in descriptor)
    count = count % 2**16 or 2**16  # 0 means 65536; a negative count was read as signed
    if isinstance(data, bytes):
        big = dataset.original_encoding[1] is False
        entries = np.frombuffer(data, dtype=np.uint8 if len(data) in (count, count + 1) else (">u2" if big else "<u2"))
    else:
        entries = np.atleast_1d(np.asarray(data))
    entries = entries[:count]
    if len(entries) < 2 or entries.min() == entries.max() or not 1 <= bits <= 16:
        return None
    return Table(first, bits, entries.astype(np.uint16).tobytes())
