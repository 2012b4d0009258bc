"""The samples of a submission: carried by it, read from a file, or fetched from the address that it names."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, MemobenchError
from memobench.data.samples import eight_bit, samples_digest
from memobench.submissions.download import fetch
from memobench.submissions.records import Submission
from memobench.submissions.untrusted import parse_arrays, read_bytes

NAME = "samples.npz"
CARRIED_BYTES = 1_500_000  # 256 images of 64 x 64 take at most 1.1 MB
OTHER_SAMPLES = "the samples are not those of the submission: their digest differs"


def read_samples(submission: Submission, file: Path | None, folder: Path | None = None) -> NDArray[np.float32]:
    """The samples of a submission, (N, *S); never more bytes than they can need.

    Args:
        submission: Says what they are.
        file: Where they lie; None for those that the submission carries, or those at its https address.
        folder: The submission's, which may carry them.

    Raises:
        DataError: They cannot be read, or are of another shape or type.
        MemobenchError: They lie nowhere.
    """
    if file is None and folder is not None and submission.samples.carried_sha256:
        return carried_samples(submission, folder)
    most = 4 * math.prod(_shape(submission)) + 100_000
    where = submission.samples.location
    if file is not None:
        data = read_bytes(file, most)
    elif where.startswith("https://"):
        data = fetch(where, most)
    else:
        raise MemobenchError("the samples lie at no address; ask the submitter for them and give --samples FILE")
    return _of_shape(parse_arrays(data, NAME, {"samples": "<f4"}, most)["samples"], submission)


def carried_samples(submission: Submission, folder: Path) -> NDArray[np.float32]:
    """The samples that a submission carries, (N, *S) multiples of 1/255.

    Raises:
        DataError: The file is not the one that the submission names, or holds other samples.
    """
    data = read_bytes(folder / NAME, CARRIED_BYTES)
    if hashlib.sha256(data).hexdigest() != submission.samples.carried_sha256:
        raise DataError(f"{NAME} is not the file that the submission names: it was changed")
    most = math.prod(_shape(submission)) + 100_000
    stored = _of_shape(parse_arrays(data, NAME, {"samples": "|u1"}, most)["samples"], submission)
    pixels: NDArray[np.float32] = stored.astype(np.float32) / np.float32(255)
    if samples_digest(pixels) != (submission.samples.rounded_sha256 or submission.samples.sha256):
        raise DataError(OTHER_SAMPLES)
    return pixels


def are_of(pixels: NDArray[np.float32], submission: Submission) -> bool:
    """Whether samples are those of a submission, by their digest."""
    return samples_digest(pixels) in submission.samples.digests


def packed_samples(samples: NDArray[np.float32]) -> bytes:
    """The ``samples.npz`` that a submission carries: 8-bit images; empty where they take too much."""
    packed = io.BytesIO()
    np.savez_compressed(packed, samples=np.rint(eight_bit(samples) * 255).astype(np.uint8))
    return packed.getvalue() if packed.tell() <= CARRIED_BYTES else b""


def _shape(submission: Submission) -> tuple[int, ...]:
    return (submission.result.identity.samples, *submission.result.identity.shape)


def _of_shape(pixels: NDArray[Any], submission: Submission) -> NDArray[Any]:
    if pixels.shape != (shape := _shape(submission)):
        raise DataError(f"{NAME} holds an array of shape {pixels.shape}, not {shape}")
    return pixels
