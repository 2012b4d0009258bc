from __future__ import annotations

from typing import Any

import memobench
import numpy as np
import pytest


def patients(count: int, seed: int) -> np.ndarray:
    """(count, 32, 32) of 8 bit: coarse squares, so that no two are similar."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


TRAIN, HOLDOUT = patients(24, 0), patients(24, 1)


@pytest.fixture(scope="package")
def detector() -> Any:
    return memobench.CopyDetector(preset="smoke", device="cpu").fit(TRAIN, HOLDOUT)
