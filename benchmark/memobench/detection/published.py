"""The detectors of memobench's own tasks, trained once and shipped: ``tasks/reference/<task>-<preset>.safetensors``.

Training rounds differently on every kind of processor, and so no two machines have the same detector. A benchmark needs
one: with the shipped weights, two people who measure the same samples get the same numbers, and nobody waits for a
training. They hold phantoms alone. The detector of real images is never shipped, since it may say something of them.

``python -m memobench.detection.published`` trains and writes them again after the detector or a task has a new version;
a test fails until then.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError
from memobench.base.progress import Track, silent
from memobench.base.seeds import derive_seed
from memobench.base.store import Store, digest_of, load_arrays, write_bytes
from memobench.data.splits import load_splits
from memobench.detection.parameters import DETECTOR_VERSION, EmbeddingParameters
from memobench.generator import Context
from memobench.task import TASKS, Splits

PRESETS = ("quick",)  # smoke trains in seconds, and keeps the way of everybody else's images tested
LARGE = 4096  # arrays with more numbers are shipped in half precision, and are the detector as they are shipped
DETECTOR = "detector.safetensors"


def detector_key(splits: Splits, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a detector depends on, besides the machine that trained it."""
    return {"split": splits.digest, "version": DETECTOR_VERSION, "detector": dict(parameters)}


def published_detector(key: Mapping[str, Any], shelf: Traversable | None = None) -> dict[str, NDArray[Any]] | None:
    """The arrays of a shipped detector, or None where none is shipped for this data, version and size.

    Args:
        key: From :func:`detector_key`.
        shelf: The folder of shipped files; None for memobench's own.

    Raises:
        MemobenchError: A shipped file cannot be read.
    """
    wanted = digest_of(key)
    for entry in (shelf or files("memobench.tasks") / "reference").iterdir():
        if entry.name.endswith(".safetensors"):
            with as_file(entry) as file:
                if _digest(file) == wanted:
                    return {name: _single(array) for name, array in load_arrays(file).items()}
    return None


def train_detector(
    splits: Splits, parameters: Mapping[str, Any], *, device: str, track: Track, scratch: Path
) -> dict[str, Any]:
    """The arrays of a detector that learns here, from other patients, or cross-fitted, never knowing who is a member.

    Args:
        splits: The data.
        parameters: Fields of :class:`EmbeddingParameters`.
        device: Where to train.
        track: Shows progress.
        scratch: For checkpoints.
    """
    from memobench.detection.crossfit import Detector

    context = Context(derive_seed(0, "detector"), device, track, checkpoints=scratch)
    pool = splits.train.joined(splits.holdout)  # the detector does not know in what order
    return Detector.fit(pool, splits.dev, EmbeddingParameters(**parameters), context=context).state()


def publish(task: str, preset: str, store: Store, into: Path, *, track: Track = silent) -> Path:
    """Train the detector of one of memobench's own tasks on the CPU and write it for shipping.

    Args:
        task: Name of the task.
        preset: Of the detector's parameters.
        store: Where the images are kept.
        into: The folder of shipped files.
        track: Shows progress.
    """
    from safetensors.numpy import save

    splits, _, _ = load_splits(TASKS.get(task), store=store, track=track)
    parameters = json.loads(json.dumps(dataclasses.asdict(EmbeddingParameters.preset(preset))))
    key = detector_key(splits, parameters)

    def write(folder: Path, scratch: Path) -> None:
        arrays = train_detector(splits, parameters, device="cpu", track=track, scratch=scratch)
        small = {name: np.ascontiguousarray(_half(array)) for name, array in arrays.items()}
        (folder / DETECTOR).write_bytes(save(small, metadata={"stage": digest_of(key)}))

    path, _ = store.get("published", key, write)
    file = into / f"{task}-{preset}.safetensors"
    write_bytes(file, (path / DETECTOR).read_bytes())
    return file


def _half(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float16) if array.dtype == np.float32 and array.size > LARGE else array


def _single(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _digest(file: Path) -> str:
    """What a shipped file says of its key."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as held:
            return str((held.metadata() or {}).get("stage", ""))
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise MemobenchError(
            f"{file.name}, a detector that memobench ships, cannot be read ({reason}); install memobench again"
        ) from error


def main() -> None:
    """Write the detectors of all of memobench's own tasks."""
    from memobench.base.terminal import track

    for task in TASKS.files():
        for preset in PRESETS:
            print(publish(task, preset, Store(Path("runs/.stages")), Path("tasks/reference"), track=track))  # noqa: T201


if __name__ == "__main__":
    main()
