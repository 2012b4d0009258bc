"""What a run is asked to do: the words of ``bench run``, and of a run from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import word


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked to do: the words of ``bench run``.

    Attributes:
        model: A model of `bench list models`.
        task: A task of `bench list tasks`.
        data: "phantom", NAME or NAME=DIR of a public data set, or a folder.
        size: Side length in pixels; by default the task's own.
        preset: Named hyper-parameters, of the model and of the detector.
        settings: Set one field of the model; may be repeated.
        samples: Number of samples; by default the task's own.
        train_patients: Number of training patients, and of holdout patients; by default all.
        seed: Base seed of fit and sampling. The data and the detector do not depend on it.
        device: auto, cpu, cuda, cuda:1, ...
        features: Measure quality on these too (`bench list features`); may be repeated.
        out: Folder of all runs.
        again: Do every stage again instead of using what is stored.
        precision: How networks compute; like the device, it is no part of a result's identity.
        compiled: Compile networks; pays in long trainings on GPUs.
        skip_unreadable: Go on without images that are listed and absent, or cannot be read.
    """

    model: str
    task: str
    data: str = "phantom"
    size: int | None = None
    preset: str = "quick"
    settings: Mapping[str, str] = word({}, flag="set", metavar="FIELD=VALUE")
    samples: int | None = word(None, least=1)
    train_patients: int | None = word(None, least=2)
    seed: int = 0
    device: str = "auto"
    features: tuple[str, ...] = ()
    out: Path = Path("runs")
    again: bool = word(False, flag="fresh")
    precision: str = word("auto", choices=("auto", "float32", "bfloat16"))
    compiled: bool = word(False, flag="compile")
    skip_unreadable: bool = False
