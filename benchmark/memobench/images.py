"""Images: pixels with the patient and the scan that each belongs to."""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError


@dataclass(frozen=True)
class Images:
    """A set of images of equal shape, each with its patient and scan.

    Attributes:
        pixels: (N, *S) float32 in [0, 1]; S is (height, width) or (depth, height, width). May be memory-mapped.
        patients: (N,) str, the patient that each image belongs to.
        scans: (N,) str, the scan (examination) of that patient.
    """

    pixels: NDArray[np.float32]
    patients: NDArray[np.str_]
    scans: NDArray[np.str_]

    def __post_init__(self) -> None:
        """Refuse arrays that are no images: wrong lengths, dtype, dimension, NaN, values outside [0, 1]."""
        if self.pixels.dtype != np.float32 or self.pixels.ndim not in (3, 4):
            raise DataError(
                f"pixels are {self.pixels.dtype} of shape {self.pixels.shape}; give float32 (N, H, W) or (N, D, H, W)"
            )
        if not len(self.pixels) == len(self.patients) == len(self.scans):
            raise DataError(
                f"{len(self.pixels)} images but {len(self.patients)} patient ids and {len(self.scans)} scan ids; "
                "give one of each per image"
            )
        if len(self.pixels):
            low, high = float(self.pixels.min()), float(self.pixels.max())
            if not (low >= 0 and high <= 1):  # written so that NaN fails too
                raise DataError(f"pixels span {low} to {high}; bring them to [0, 1] and replace NaN first")

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape S of one image."""
        return tuple(self.pixels.shape[1:])

    @property
    def patient_count(self) -> int:
        """How many different patients there are."""
        return len(np.unique(self.patients))

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Images:
        """The images at an index or under a mask."""
        return Images(self.pixels[index], self.patients[index], self.scans[index])

    def some_patients(self, most: int, random: np.random.Generator) -> Images:
        """Whole patients, drawn at random, with at most ``most`` images together; all where there are no more.

        The draw knows the patients' names alone, so who else they are, members or not, has no influence on it.

        Args:
            most: Number of images; one patient is drawn even if he has more.
            random: Where the draw comes from.
        """
        if len(self) <= most:
            return self
        names, which, counts = np.unique(self.patients, return_inverse=True, return_counts=True)
        order = random.permutation(len(names))
        chosen = np.zeros(len(names), dtype=bool)
        chosen[order[np.cumsum(counts[order]) <= most]] = True
        chosen[order[0]] = True
        return self.take(chosen[which.reshape(-1)])

    def joined(self, other: Images) -> Images:
        """These images followed by the other's, in memory."""
        joined = Images(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.patients, other.patients]),
            np.concatenate([self.scans, other.scans]),
        )
        for side in (self, other):
            _give_back(side.pixels)  # else every image would lie in memory twice
        return joined

    @property
    def contents(self) -> NDArray[np.int64]:
        """(N,) a number for each different image: equal pixels, equal number."""
        number: NDArray[np.int64] = np.unique(content_digests(self.pixels), return_inverse=True)[1].reshape(-1)
        _give_back(self.pixels)
        return number

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids and 8-bit rounded pixels: equal sets have equal digests on every platform."""
        sha = hashlib.sha256(json.dumps([self.patients.tolist(), self.scans.tolist(), self.shape]).encode())
        for image in self.pixels:
            sha.update(np.rint(image * 255).astype(np.uint8).tobytes())
        return sha.hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``pixels.npy`` and ``ids.json`` into a folder that exists."""
        np.save(folder / "pixels.npy", self.pixels)
        ids = {"patients": self.patients.tolist(), "scans": self.scans.tolist()}
        (folder / "ids.json").write_text(json.dumps(ids))

    @classmethod
    def load(cls, folder: Path) -> Images:
        """Read what :meth:`save` wrote; the pixels stay on disk, memory-mapped."""
        ids = json.loads((folder / "ids.json").read_text())
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        return cls(pixels, np.array(ids["patients"], dtype=np.str_), np.array(ids["scans"], dtype=np.str_))


def _give_back(pixels: NDArray[np.float32]) -> None:
    """Let go of the pages of a mapped file, which are read again when they are needed."""
    if isinstance(pixels.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pixels.base.madvise(mmap.MADV_DONTNEED)


def content_digests(pixels: NDArray[np.float32]) -> NDArray[np.str_]:
    """(N,) SHA-256 of each of (N, *S) images: equal for those that are pixel for pixel the same, and for no others.

    >>> digests = content_digests(np.array([[[0.0]], [[1.0]], [[0.0]]], dtype=np.float32))
    >>> bool(digests[0] == digests[2]), bool(digests[0] == digests[1])
    (True, False)
    """
    return np.array([hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in pixels], np.str_)
