"""Seeds by role, so that no two parts of a run ever share a stream of random numbers.

One integer used both for data and for sampling lets an untrained model reproduce its data exactly; a seed derived from
the base seed and the role's names cannot.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(base: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for one role: the SHA-256 of the base seed and the role's names.

    >>> derive_seed(0, "fit") == derive_seed(0, "fit"), derive_seed(0, "fit") == derive_seed(0, "sample")
    (True, False)
    """
    text = "\x1f".join(["memobench", str(int(base)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(base: int, *names: str | int) -> np.random.Generator:
    """A NumPy random generator for one role, seeded by :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(base, *names))
