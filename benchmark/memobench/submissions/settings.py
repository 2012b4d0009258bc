"""What ``bench submit``, ``attack`` and ``verify`` are asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memobench.base.words import word

Level = Literal["self-reported", "rescored", "reproduced"]
LEVELS: tuple[Level, ...] = ("self-reported", "rescored", "reproduced")


@dataclass(frozen=True)
class SubmitSettings:
    """What ``bench submit`` is asked to do.

    Attributes:
        run: Folder of a finished run.
        name: Who submits: a person or a group.
        contact: Where questions go.
        link: A page about the method (https).
        other_training_data: What else it learned from, weights too.
        tuned_on_test: Some choice was made by looking at numbers measured on test.
        comment: Anything else that a reader should know.
        samples_at: Where samples.npz can be had (https), or a file name.
        plugin: The file that registers the model, if it is yours.
        data: Of a run on real data: the folder of its images; by default that of bench data fetch.
        into: Folder of all submissions.
    """

    run: Path
    name: str
    contact: str = ""
    link: str = ""
    other_training_data: str = word("", metavar="TEXT")
    tuned_on_test: bool = False
    comment: str = ""
    samples_at: str = word("", metavar="URL")
    plugin: Path | None = None
    data: str = word("", metavar="DIR")
    into: Path = Path("leaderboard/submissions")


@dataclass(frozen=True)
class AttackSettings:
    """What ``bench attack`` is asked to do.

    Attributes:
        against: The attacked submission, ``.../submissions/<task>/<run_id>``.
        detector: One of `bench list detectors`, or of your plug-in.
        name: Who submits the attack: a person or a group.
        contact: Where questions go.
        link: A page about the detector (https).
        description: How the detector works, and where its code is.
        samples: The attacked samples.npz; by default they are fetched from where the submission says.
        plugin: The file that registers the detector, if it is yours.
        data: Where it ran on real data: the folder of its images; by default that of bench data fetch.
        out: Folder of all runs.
        device: auto, cpu, cuda, cuda:1, ...
    """

    against: Path
    detector: str
    name: str
    contact: str = ""
    link: str = ""
    description: str = word("", metavar="TEXT")
    samples: Path | None = None
    plugin: Path | None = None
    data: str = word("", metavar="DIR")
    out: Path = Path("runs")
    device: str = "auto"


@dataclass(frozen=True)
class RemeasureSettings:
    """What ``bench leaderboard --remeasure`` is asked to do.

    Attributes:
        submissions: Folder of all submissions.
        task: Only this task; None for all.
        only: Only the submissions of these names; () for all that are not up to date.
        train: Train generators again whose samples lie nowhere; controls are drawn again in any case.
        data: Of tracks on real data: the folder of the images.
        device: auto, cpu, cuda, cuda:1, ...
        out: Folder of all runs, whose stages are used.
    """

    submissions: Path = Path("leaderboard/submissions")
    task: str | None = None
    only: tuple[str, ...] = ()
    train: bool = False
    data: str = ""
    device: str = "auto"
    out: Path = Path("runs")


@dataclass(frozen=True)
class VerifySettings:
    """What a verification is asked to do.

    Attributes:
        level: How far to go.
        samples: For rescored: samples.npz; by default they are fetched from where the submission says.
        data: Where it ran on real data: the folder of its images; by default that of bench data fetch.
        run_their_code: For reproduced runs and rescored attacks: execute the plug-in file.
        device: auto, cpu, cuda, cuda:1, ...
        out: Folder of all runs.
    """

    level: Level = word("self-reported", choices=LEVELS)
    samples: Path | None = None
    data: str = word("", metavar="DIR")
    run_their_code: bool = False
    device: str = "auto"
    out: Path = Path("runs")
