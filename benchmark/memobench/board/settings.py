"""What ``bench leaderboard`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memobench.base.words import word

FORMATS = ("table", "github", "csv", "json", "latex", "html")


@dataclass(frozen=True)
class BoardSettings:
    """What ``bench leaderboard`` is asked to do.

    Attributes:
        task: Only this task.
        data: Only these data: "phantom", or a real track such as chestxray14:mini.
        submissions: Folder of all submissions.
        style: How it is shown.
        site: Write a static site into this folder.
        check: Fail where BOARD.md or board.json differ from what the submissions give, or one fails verification.
        runs: Show the local runs in this folder instead.
        remeasure: Measure submissions of an older detector or measure again from their samples, and replace them.
        only: With --remeasure: the submission of this name, up to date or not; may be repeated.
        train: With --remeasure: train generators again whose samples lie nowhere.
        images: With --remeasure: the folder of a real track's images.
        device: With --remeasure: auto, cpu, cuda, cuda:1, ...
        out: With --remeasure: the folder of all runs, whose stages are used.
    """

    task: str | None = None
    data: str | None = word(None, metavar="NAME")
    submissions: Path = Path("leaderboard/submissions")
    style: str = word("table", flag="format", choices=FORMATS)
    site: Path | None = None
    check: bool = False
    runs: Path | None = None
    remeasure: bool = False
    only: tuple[str, ...] = word((), metavar="NAME")
    train: bool = False
    images: str = word("", metavar="DIR")
    device: str = "auto"
    out: Path = Path("runs")
