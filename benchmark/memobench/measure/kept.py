"""What the search of regions makes of the real images alone, kept where the matches of a remembering detector are.

A second set of samples that is measured on the same real images finds it there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from memobench.detection.parameters import REGION_VERSION
from memobench.detection.remember import RememberingDetector
from memobench.images import Images
from memobench.measure.detector import OwnDetector
from memobench.measure.region_search import Arrays, Keep, not_kept


def kept_beside(detector: OwnDetector, train: Images, holdout: Images | None, null_images: int | None) -> Keep:
    """Finds arrays that were made before by their name, or makes them.

    Args:
        detector: Where it remembers nothing, nothing is kept.
        train: The images that may have been copied.
        holdout: The decoys; None where there are none.
        null_images: Real images that are searched as if they were new patients', at most.
    """
    if not isinstance(detector, RememberingDetector):
        return not_kept
    store = detector.store
    real = {
        "version": REGION_VERSION,
        "detector": detector.name,
        "train": train.digest,
        "holdout": None if holdout is None else holdout.digest,
        "null_images": null_images,
    }

    def keep(name: str, make: Callable[[], Arrays]) -> Arrays:
        def write(into: Path, scratch: Path) -> None:
            arrays: dict[str, Any] = dict(make())
            np.savez(into / "arrays.npz", **arrays)

        path, _ = store.get("regions-real", real | {"what": name}, write)
        with np.load(path / "arrays.npz", allow_pickle=False) as archive:
            return dict(archive)

    return keep
