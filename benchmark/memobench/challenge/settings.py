"""What a challenge is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import Size, size_of, spell_size, word


@dataclass(frozen=True)
class ChallengeSettings:
    """What a challenge is asked to do: the words of ``bench challenge``.

    Attributes:
        task: A task of `bench list tasks`.
        data: "phantom", NAME or NAME=DIR of a public data set, or a folder.
        size: Side length in pixels, or the sides, for example 32x256x256; by default the task's own.
        detectors: NAME,NAME of `bench list detectors`; by default all.
        strength: Of the perturbations: weak, medium or strong.
        count: Planted copies per perturbation, at most; as many non-copies.
        preset: How much the detectors are trained.
        seed: Seed of the choice of images and of the detectors' training.
        device: auto, cpu, cuda, cuda:1, ...
        out: Folder of all runs.
        again: Do every stage again instead of using what is stored.
    """

    task: str
    data: str = "phantom"
    size: Size | None = word(None, metavar="SIDE|HxW|DxHxW", parse=size_of, spell=spell_size)
    detectors: tuple[str, ...] = word((), joined=True, metavar="NAME,NAME")
    strength: str = "medium"
    count: int = word(100, least=1)
    preset: str = "quick"
    seed: int = 0
    device: str = "auto"
    out: Path = Path("runs")
    again: bool = word(False, flag="fresh")
