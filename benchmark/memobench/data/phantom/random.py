"""Random numbers of the phantom: named streams of raw Philox bits, the same on every platform and NumPy version.

NumPy keeps the raw bits of a bit generator stable for ever, but not the methods of ``Generator`` (NEP 19); so only
the bits are taken, and uniform and normal numbers are made of them here. A stream's key is the SHA-256 of its names,
in a space of its own ("memobench phantom"), so that no seed given to a generative model can reproduce a patient.
"""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np
from numpy.typing import NDArray

from . import arithmetic


class Stream:
    """A sequence of random numbers that is fixed by its names.

    >>> Stream("chest", 0, 7).uniform(0, 1) == Stream("chest", 0, 7).uniform(0, 1)
    True
    """

    def __init__(self, *names: str | int) -> None:
        text = "\x1f".join(["memobench phantom", *map(str, names)])
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        self._bits = np.random.Philox(key=key)

    def uniforms(self, shape: int | tuple[int, ...], low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Uniform numbers in [low, high), float64, of any shape."""
        count = shape if isinstance(shape, int) else prod(shape)
        raw = self._bits.random_raw(count) >> np.uint64(11)
        return (low + (high - low) * (raw.astype(np.float64) * 2.0**-53)).reshape(shape)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One uniform number in [low, high)."""
        return float(self.uniforms(1, low, high)[0])

    def normals(self, shape: int | tuple[int, ...], sd: float = 1.0) -> NDArray[np.float64]:
        """Standard normal numbers times sd, by Box and Muller's transform in exact arithmetic."""
        count = shape if isinstance(shape, int) else prod(shape)
        pairs = (count + 1) // 2
        radius = np.sqrt(-2 * arithmetic.log(1 - self.uniforms(pairs)))
        angle = self.uniforms(pairs, 0.0, 6.283185307179586)
        cosine_and_sine = arithmetic.sin(np.concatenate([angle + 6.283185307179586 / 4, angle]))
        both = np.concatenate([radius, radius]) * cosine_and_sine
        return np.asarray(sd * both[:count], dtype=np.float64).reshape(shape)

    def normal(self, mean: float = 0.0, sd: float = 1.0, low: float = -np.inf, high: float = np.inf) -> float:
        """One normal number, clipped to [low, high]."""
        return min(max(mean + sd * float(self.normals(1)[0]), low), high)

    def integer(self, low: int, high: int) -> int:
        """One integer of low, ..., high - 1."""
        return low + min(int(self.uniform() * (high - low)), high - low - 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability


class Numbers:
    """Single numbers of a stream, drawn in one block: the same methods as ``Stream``'s, at a hundredth of the time.

    Args:
        stream: Where the numbers come from.
        count: How many normal and how many uniform numbers there are; drawing more raises ``StopIteration``.

    >>> Numbers(Stream("a"), 8).uniform() == Numbers(Stream("a"), 8).uniform()
    True
    """

    def __init__(self, stream: Stream, count: int) -> None:
        self._normals = iter(stream.normals(count).tolist())
        self._uniforms = iter(stream.uniforms(count).tolist())

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One uniform number in [low, high)."""
        return low + (high - low) * float(next(self._uniforms))

    def normal(self, mean: float = 0.0, sd: float = 1.0, low: float = -np.inf, high: float = np.inf) -> float:
        """One normal number, clipped to [low, high]."""
        return min(max(mean + sd * float(next(self._normals)), low), high)

    def integer(self, low: int, high: int) -> int:
        """One integer of low, ..., high - 1."""
        return low + min(int(self.uniform() * (high - low)), high - low - 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability
