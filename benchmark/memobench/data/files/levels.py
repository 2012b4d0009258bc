"""Integer images by their levels: what is done to a value is done once for all pixels that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_NEAR = 2**12  # a smallest value below this may as well be 0, which saves a subtraction
_MOST = 2**31  # pixels in a row of Pillow's
_BLOCK = 2**15  # pixels that are counted or looked up at a time, since numpy widens their indices


@dataclass(frozen=True)
class Levels:
    """The values that occur among integers of at most 16 bits, and how often.

    Attributes:
        values: (L,) the values, ascending, of the integers' own type.
        counts: (L,) how many have each.
        places: (L,) how far each lies above the smallest, by which tables are addressed.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Levels | None:
        """The levels of integers (and of booleans); None for other types.

        >>> Levels.of(np.array([[3, -1], [3, 3]], dtype=np.int16))
        Levels(values=array([-1,  3], dtype=int16), counts=array([1, 3]), places=array([0, 4]))
        """
        if values.dtype.kind not in "biu" or values.dtype.itemsize > 2 or not values.size:
            return None
        low, high = (0, 255) if values.dtype.kind in "bu" and values.dtype.itemsize == 1 else _ends(values)
        if values.dtype == np.uint8 and values.size < _MOST:  # three times as fast as numpy, which widens every value
            flat = np.ascontiguousarray(values).reshape(-1)
            counts = np.array(Image.frombuffer("L", (flat.size, 1), flat, "raw", "L", 0, 1).histogram(), dtype=np.int64)
        else:
            counts = np.zeros(high - low + 1, dtype=np.int64)
            for _, block in _blocks(values, low):
                counts += np.bincount(block, minlength=len(counts))
        places = np.flatnonzero(counts)
        own = values.dtype.newbyteorder("=") if values.dtype.kind != "b" else np.dtype(np.uint8)
        return cls((places + low).astype(own), counts[places], places)

    def ends(self, drawn: NDArray[Any], percentiles: tuple[float, float], padded: int = 0) -> tuple[float, float]:
        """The percentile range of what the levels are drawn as, as :func:`numpy.percentile` gives it for all pixels.

        Where it is empty, the smallest and largest value stand for it.

        Args:
            drawn: (L,) what each level is drawn as.
            percentiles: The lower and the upper.
            padded: How many further pixels are drawn as the smallest.
        """
        order = np.argsort(drawn, kind="stable")
        sorted_values = drawn[order].astype(np.float64)
        reached = np.cumsum(self.counts[order]) + padded
        last = int(reached[-1]) - 1
        at = [last * (percent / 100) for percent in percentiles]
        neighbours = np.minimum([int(at[0]), int(at[0]) + 1, int(at[1]), int(at[1]) + 1], last)
        first, second, third, fourth = sorted_values[np.searchsorted(reached, neighbours, side="right")].tolist()
        bottom, top = _between(first, second, at[0] % 1), _between(third, fourth, at[1] % 1)
        return (bottom, top) if bottom != top else (float(sorted_values[0]), float(sorted_values[-1]))

    def spread_out(self, drawn: NDArray[np.float32], values: NDArray[Any]) -> NDArray[np.float32]:
        """What every pixel is drawn as; anything where a value is none of the levels.

        Args:
            drawn: (L,) what each level is drawn as.
            values: (...,) of the type whose levels these are.
        """
        table = np.zeros(int(self.places[-1]) + 1, dtype=np.float32)
        table[self.places] = drawn
        pixels = np.empty(values.size, dtype=np.float32)
        for start, block in _blocks(values, int(self.values[0]) - int(self.places[0])):
            np.take(table, block, out=pixels[start : start + len(block)], mode="clip")
        return pixels.reshape(values.shape)


def _blocks(values: NDArray[Any], low: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Where each block starts among all pixels, and how far its values lie above a low one, modulo their type."""
    flat = np.ascontiguousarray(values).ravel()
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK]
        native = block if block.dtype.isnative else block.astype(block.dtype.newbyteorder("="))
        yield (
            start,
            native.view(unsigned) - unsigned.type(low % 2 ** (8 * unsigned.itemsize)) if low else native.view(unsigned),
        )


def _ends(values: NDArray[Any]) -> tuple[int, int]:
    low = int(values.min())
    return (0 if low < _NEAR and low > 0 else low), int(values.max())


def _between(low: float, high: float, share: float) -> float:
    """Linear interpolation, as numpy does it."""
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
