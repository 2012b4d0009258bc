"""What a calibration is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import word


@dataclass(frozen=True)
class CalibrationSettings:
    """What a calibration is asked to do: the words of ``bench calibrate``.

    Attributes:
        task: Plant copies in this task's own images, instead of simulating generators.
        situations: With --task: audit sets with known truth instead, and compare each decision with the required one.
        data: With --task: "phantom", or a folder.
        strength: With --task: weak, medium or strong copies.
        only: With --situations: those alone whose name contains these words.
        draws: Draws of each scenario; 300 if not given, and 1 with --situations.
        preset: With --task: how much the detector is trained.
        seed: Base seed of the simulation, or of the stock of images and the draws.
        device: With --task: auto, cpu, cuda, cuda:1, ...
        out: Folder of all runs, whose stored stages are used.
    """

    task: str | None = None
    situations: str | None = word(None, choices=("fast", "all"))
    data: str = "phantom"
    only: str | None = None
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
