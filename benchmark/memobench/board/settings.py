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
    """

    task: str | None = None
    data: str | None = word(None, metavar="NAME")
    submissions: Path = Path("leaderboard/submissions")
    style: str = word("table", flag="format", choices=FORMATS)
    site: Path | None = None
    check: bool = False
    runs: Path | None = None
