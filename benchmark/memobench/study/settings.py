"""What a study is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import Size, seeds_of, size_of, spell_seeds, spell_size, word


@dataclass(frozen=True)
class StudySettings:
    """What a study is asked to do: the words of ``bench study``.

    Attributes:
        task: A task of `bench list tasks`.
        data: "phantom", NAME or NAME=DIR of a public data set, or a folder.
        model: The model that the findings are about.
        against: The models that it is compared with.
        size: Side length in pixels, or the sides, for example 32x256x256; by default the task's own.
        only: Factors: model, augmentation, width, patients, length, mitigation; by default the first five, which
            findings were published on.
        brief: Only the arms that findings compare; the levels between and beyond, which figures show, are left out.
        preset: Named hyper-parameters, of all models.
        settings: Set a field of that model, in all of its arms; may be repeated.
        seeds: One run of each arm per seed; three at least make the intervals worth their name.
        samples: Number of samples; by default the task's own.
        train_patients: Training patients of all arms, of which some take a share; by default all.
        device: auto, cpu, cuda, cuda:1, ...
        plugins: A Python file with further entries; may be repeated.
        out: Folder of all runs.
        kept: Folder of results kept from runs, which are read and not run again, and to which the others' are added.
    """

    task: str
    data: str = "phantom"
    model: str = "ldm"
    against: tuple[str, ...] = word(("vae", "gan"), joined=True)
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    only: tuple[str, ...] = word((), joined=True, metavar="FACTOR,FACTOR")
    brief: bool = False
    preset: str = "quick"
    settings: Mapping[str, str] = word({}, flag="set", metavar="FIELD=VALUE")
    seeds: tuple[int, ...] = word((0, 1, 2), metavar="A-B", parse=seeds_of, spell=spell_seeds)
    samples: int | None = word(None, least=1)
    train_patients: int | None = word(None, least=2)
    device: str = "auto"
    plugins: tuple[Path, ...] = word((), flag="plugin")
    out: Path = Path("runs")
    kept: Path | None = None
