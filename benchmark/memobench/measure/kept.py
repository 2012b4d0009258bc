"""What the search of regions finds, kept where the matches of a remembering detector are.

What it makes of the real images alone is stored: a second set of samples that is measured on them finds it there. What
it finds of single samples is remembered where the detector remembers single images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.store import digest_of
from memobench.detection.parameters import REGION_VERSION
from memobench.detection.recall import Answers, asked_now
from memobench.detection.remember import RememberingDetector
from memobench.images import Images
from memobench.measure.detector import OwnDetector
from memobench.measure.region_search import Arrays, Keep, not_kept

Rows = Callable[[str, NDArray[np.float32], Callable[[NDArray[np.float32]], Answers]], Answers]


@dataclass(frozen=True)
class Kept:
    """Where a search finds what was found before.

    Attributes:
        arrays: Finds arrays that were made before by their name, or makes them.
        rows: Finds the answers for single images, or asks for them.
    """

    arrays: Keep = not_kept
    rows: Rows = asked_now


NOTHING_KEPT = Kept()


def kept_beside(detector: OwnDetector, train: Images, holdout: Images | None, null_images: int | None) -> Kept:
    """Where the search of regions in these real images finds what was found before.

    Args:
        detector: Where it remembers nothing, nothing is kept.
        train: The images that may have been copied.
        holdout: The decoys; None where there are none.
        null_images: Real images that are searched as if they were new patients', at most.
    """
    if not isinstance(detector, RememberingDetector):
        return NOTHING_KEPT
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

    recall, name = detector.recall, f" {digest_of(real)}"
    return Kept(keep, asked_now if recall is None else lambda what, images, ask: recall.rows(what + name, images, ask))
