"""What a calibration is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import Size, size_of, spell_size, word


@dataclass(frozen=True)
class CalibrationSettings:
    """What a calibration is asked to do: the words of ``bench calibrate``.

    Attributes:
        task: Plant copies in this task's own images, instead of simulating generators.
        situations: With --task: audit sets with known truth instead, and compare each decision with the required one.
        groups: With --task: plant copies in groups (parts, composites, reconstructions, poses) among strangers treated
            in the same way: NAME,NAME, or all.
        data: With --task: "phantom", or a folder.
        size: With --task: side length in pixels, or the sides, for example 32x256x256; by default the task's own.
        train_patients: With --situations or --groups: only so many patients in train, and as many in holdout.
        copies: With --groups: planted copies of each group, a tenth of the samples.
        sets: With --groups: sets of strangers alone for each group.
        strength: With --task: weak, medium or strong copies.
        only: With --situations: those alone whose name contains these words.
        draws: Draws of each scenario; 300 if not given, and 1 with --situations, where the patients change their sides
            after every 20.
        preset: With --task: how much the detector is trained.
        seed: Base seed of the simulation, or of the stock of images and the draws.
        device: With --task: auto, cpu, cuda, cuda:1, ...
        out: Folder of all runs, whose stored stages are used.
    """

    task: str | None = None
    situations: str | None = word(None, choices=("fast", "all"))
    groups: tuple[str, ...] = word((), joined=True, metavar="NAME,NAME")
    data: str = "phantom"
    only: str | None = None
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    train_patients: int | None = word(None, least=8)
    copies: int = word(20, least=2)
    sets: int = word(2, least=0)
    strength: str = "medium"
    draws: int | None = word(None, least=1)
    preset: str = "quick"
    seed: int = 0
    device: str = "auto"
    out: Path = Path("runs")

    @property
    def repeats(self) -> int:
        """The draws to make: as asked for, else one of each audited situation, and 300 of what costs less."""
        return self.draws if self.draws is not None else 1 if self.situations is not None else 300
