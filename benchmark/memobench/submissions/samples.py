"""The samples of a submission: read from a file, or fetched from the address that it names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import DataError, MemobenchError
from memobench.submissions.download import fetch
from memobench.submissions.records import Submission
from memobench.submissions.untrusted import parse_arrays, read_bytes

OTHER_SAMPLES = "the samples are not those of the submission: their digest differs"


def read_samples(submission: Submission, file: Path | None) -> NDArray[np.float32]:
    """The samples of a submission, (N, *S), from a file or from its https address; never more than they can need.

    Raises:
        DataError: They cannot be read, or are of another shape or type.
        MemobenchError: They lie nowhere.
    """
    identity = submission.result.identity
    shape = (identity.samples, *identity.shape)
    most = 4 * math.prod(shape) + 100_000
    where = submission.samples.location
    if file is not None:
        data = read_bytes(file, most)
    elif where.startswith("https://"):
        data = fetch(where, most)
    else:
        raise MemobenchError("the samples lie at no address; ask the submitter for them and give --samples FILE")
    pixels = parse_arrays(data, "samples.npz", {"samples": "<f4"}, most)["samples"]
    if pixels.shape != shape:
        raise DataError(f"samples.npz holds an array of shape {pixels.shape}, not {shape}")
    return pixels
