"""DICOM display windows: values in the modality's units to [0, 1] (PS3.3, C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from memobench.data.files.attributes import number, text, value, vector


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
class LookUpTable:
    """A VOI LUT (PS3.3, C.11.2.1.1): the entry of each value, the first from ``first`` on downwards.

    >>> LookUpTable(10, 8, np.array([0, 51, 255], np.uint16).tobytes()).apply(np.array([3, 11, 99])).tolist()
    [0.0, 0.2, 1.0]
    """

    first: int
    bits: int
    entries: bytes  # uint16 of this machine's byte order; as bytes, two tables can be compared

    def apply(self, values: NDArray[Any]) -> NDArray[np.floating]:
        """Values to [0, 1]; those outside the table get its ends."""
        table = np.frombuffer(self.entries, dtype=np.uint16)
        # Entries of 12 bit in a table that claims 8 are common; the largest entry then says the depth.
        bits = max(self.bits, int(table.max()).bit_length())
        first = self.first
        if first >= 2**15 and values.min() < 0:  # a negative first value, read as unsigned (implicit VR)
            first -= 2**16
        index = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
        return np.asarray(table[index] / (2**bits - 1))


def window_of(dataset: Dataset, voi: Dataset) -> Window | None:
    """The first VOI LUT or window, a LUT before a window; None where there is none that can be used.

    Args:
        dataset: The whole file, for its byte order.
        voi: Where the attributes stand: the file itself, or an item of a frame's FrameVOILUTSequence.
    """
    if sequence := value(voi, "VOILUTSequence"):
        return _table(dataset, sequence[0])
    centre, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    if centre is None or width is None:
        return None
    return CentreWidth(centre, width, text(voi, "VOILUTFunction").upper() or "LINEAR")


def _table(dataset: Dataset, item: Dataset) -> LookUpTable | None:
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
    return LookUpTable(first, bits, entries.astype(np.uint16).tobytes())
