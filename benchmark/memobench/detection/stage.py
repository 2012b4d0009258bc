"""The detector of a task's images as a stored stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memobench.base.progress import Track
from memobench.base.seeds import derive_seed
from memobench.base.store import Store, load_arrays, save_arrays
from memobench.generator import Context
from memobench.task import Splits

if TYPE_CHECKING:
    from memobench.detection.crossfit import Detector


def fit_detector(
    splits: Splits, parameters: Mapping[str, Any], *, store: Store, device: str, track: Track
) -> tuple[Path, bool]:
    """The copy detector of this data: learned from other patients, or cross-fitted, never knowing who is a member."""
    from memobench.detection.crossfit import Detector
    from memobench.detection.parameters import DETECTOR_VERSION, EmbeddingParameters

    key = {"split": splits.digest, "version": DETECTOR_VERSION, "detector": dict(parameters)}

    def write(into: Path, scratch: Path) -> None:
        context = Context(derive_seed(0, "detector"), device, track, checkpoints=scratch)
        pool = splits.train.joined(splits.holdout)  # the detector does not know in what order
        detector = Detector.fit(pool, splits.dev, EmbeddingParameters(**parameters), context=context)
        save_arrays(into / "detector.safetensors", detector.state())

    return store.get("detector", key, write)


def load_detector(path: Path, parameters: Mapping[str, Any], *, device: str) -> Detector:
    """The detector that :func:`fit_detector` stored."""
    from memobench.detection.crossfit import Detector
    from memobench.detection.parameters import EmbeddingParameters

    arrays = load_arrays(path / "detector.safetensors")
    return Detector.restore(arrays, EmbeddingParameters(**parameters), device=device)
