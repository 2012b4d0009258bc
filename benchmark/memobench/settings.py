"""What a run, a measurement and an export are asked to do: the words of the commands, and of Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import Size, range_of, size_of, spell_range, spell_size, word

LAYOUTS = ("files", "npz", "imagefolder")
PLACES = ("eval-results", "every-eval-ever", "model-card", "csv", "latex")  # where results go (report/travel.py)


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked to do: the words of ``bench run``.

    Attributes:
        model: A model of `bench list models`; or a checkpoint, which is sampled and not trained: diffusers:DIR,
            monai:DIR or torch:FILE.py:CLASS (DIR may be hub:OWNER/NAME).
        task: A task of `bench list tasks`.
        data: "phantom", NAME or NAME=DIR of a public data set (NAME:mini for its published split), or a folder.
        size: Side length in pixels, or the sides, for example 32x256x256; by default the task's own.
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
        weights: Of torch:FILE.py:CLASS: its weights, a safetensors file.
        name: What a checkpoint is called; by default as its folder or class.
        trained_on: What a checkpoint learned from: "task" for the task's own training images, else a description.
        run_their_code: Of monai: evaluate the bundle's own configuration, which may do anything.
    """

    model: str
    task: str
    data: str = "phantom"
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
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
    weights: Path | None = word(None, metavar="FILE")
    name: str = ""
    trained_on: str = word("", metavar="task|TEXT")
    run_their_code: bool = False


@dataclass(frozen=True)
class MeasureSettings:
    """What a measurement of samples from elsewhere is asked to do: the words of ``bench measure``.

    Attributes:
        task: A task of `bench list tasks`.
        samples: A folder, an archive, one NPZ file, or hub:OWNER/NAME: images that somebody drew elsewhere.
        name: What the generator is called.
        trained_on: What it learned from: "task" for the task's own training images, else a description. Undeclared,
            no decision is better than "review".
        data: "phantom", NAME or NAME=DIR of a public data set (NAME:mini for its published split), or a folder.
        size: Side length in pixels, or the sides, for example 32x256x256; by default the task's own.
        preset: How much the detector is trained.
        count: Measure so many, drawn at random with the seed; by default all.
        seed: Which of several trainings of the generator these samples are of.
        value_range: Black and white of the samples, for example -1,1; or "each": of each image by itself.
        device: auto, cpu, cuda, cuda:1, ...
        features: Measure quality on these too (`bench list features`); may be repeated.
        out: Folder of all runs.
        again: Do every stage again instead of using what is stored.
        skip_unreadable: Go on without images that cannot be read.
        model: In place of samples, a checkpoint that draws them: diffusers:DIR, monai:DIR or torch:FILE.py:CLASS.
        settings: Of a checkpoint: set one field of its sampling; may be repeated.
        weights: Of torch:FILE.py:CLASS: its weights, a safetensors file.
        run_their_code: Of monai: evaluate the bundle's own configuration, which may do anything.
    """

    task: str
    samples: str = word("", metavar="WHERE")
    name: str = ""
    trained_on: str = word("", metavar="task|TEXT")
    data: str = "phantom"
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    preset: str = word("quick", choices=("smoke", "quick", "standard", "paper"))
    count: int | None = word(None, least=1)
    seed: int = 0
    value_range: tuple[float, float] | str | None = word(
        None, metavar="LOW,HIGH|each", parse=range_of, spell=spell_range
    )
    device: str = "auto"
    features: tuple[str, ...] = ()
    out: Path = Path("runs")
    again: bool = word(False, flag="fresh")
    skip_unreadable: bool = False
    model: str = word("", metavar="KIND:WHERE")
    settings: Mapping[str, str] = word({}, flag="set", metavar="FIELD=VALUE")
    weights: Path | None = word(None, metavar="FILE")
    run_their_code: bool = False


@dataclass(frozen=True)
class ExportSettings:
    """What ``bench data export`` is asked to do.

    Attributes:
        folder: Made here.
        task: A task of `bench list tasks`.
        data: "phantom", NAME or NAME=DIR of a public data set (NAME:mini for its published split), or a folder.
        size: Side length in pixels, or the sides, for example 32x256x256; by default the task's own.
        layout: files (PNG, in 3D NPZ, with manifest.csv), npz (one file per side), or imagefolder (of Hugging Face).
        only: Which of train, holdout and test to write; by default all three.
        run: Folder of a finished run, whose samples are written too.
        out: Folder of all runs.
    """

    folder: Path
    task: str
    data: str = "phantom"
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    layout: str = word("files", choices=LAYOUTS)
    only: tuple[str, ...] = word((), metavar="SIDE,SIDE", joined=True)
    run: Path | None = None
    out: Path = Path("runs")
