"""The detector of a task's images as a stored stage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from memobench.base.progress import Track
from memobench.base.store import Store, load_arrays, save_arrays
from memobench.detection.published import DETECTOR, detector_key, published_detector, train_detector
from memobench.task import Splits

if TYPE_CHECKING:
    from memobench.detection.remember import RememberingDetector


def fit_detector(
    splits: Splits, parameters: Mapping[str, Any], *, store: Store, device: str, track: Track
) -> tuple[Path, bool]:
    """The copy detector of this data: the one that memobench ships, where it ships one, else one that learns here."""
    key = detector_key(splits, parameters)
    shipped = published_detector(key)
    if shipped is not None:  # one that was trained here by an older version is not taken for it
        key["shipped"] = _digest(shipped)

    def write(into: Path, scratch: Path) -> None:
        arrays = shipped
        if arrays is None:
            arrays = train_detector(splits, parameters, device=device, track=track, scratch=scratch)
        save_arrays(into / DETECTOR, arrays)

    return store.get("detector", key, write)


def load_detector(path: Path, parameters: Mapping[str, Any], *, store: Store, device: str) -> RememberingDetector:
    """The detector that :func:`fit_detector` stored, which keeps in the store what it matches.

    So an interrupted measurement goes on where it stopped, and a second generator that is measured on the same
    images finds what depends on these alone.
    """
    from memobench.detection.crossfit import Detector
    from memobench.detection.parameters import EmbeddingParameters
    from memobench.detection.remember import RememberingDetector

    arrays = load_arrays(path / DETECTOR)
    detector = Detector.restore(arrays, EmbeddingParameters(**parameters), device=device)
    return RememberingDetector(detector, store, path.name)


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(name.encode())
        whole.update(arrays[name].tobytes())
    return whole.hexdigest()
