"""What ``bench leaderboard`` does with its words."""

from __future__ import annotations

from pathlib import Path

from memobench.base.errors import UsageError
from memobench.base.terminal import track
from memobench.board.build import board_json, build_board, check_committed
from memobench.board.formats import csv_board, text_board
from memobench.board.local import local_board
from memobench.board.site import task_page, write_site
from memobench.submissions.check import failures

RENEW = (
    "renew it: bench leaderboard --format github > leaderboard/BOARD.md && "
    "bench leaderboard --format json > leaderboard/board.json"
)


def show_board(submissions: Path, task: str | None, style: str, data: str | None = None) -> str:
    """The board in a format: "table", "github", "csv", "json", "latex", or "html" (one page, of one track).

    Raises:
        UsageError: The format "html" without one track.
    """
    boards = build_board(submissions, task, data=data)
    if style == "json":
        return board_json(boards)
    if style == "csv":
        return csv_board(boards).rstrip("\n")
    if style == "html":
        if len(boards) != 1:
            raise UsageError(
                "--format html is one page of one track; name it by --task and --data, or write all by --site DIR"
            )
        return task_page(boards[0], links=False)
    return text_board(boards, {"table": "simple"}.get(style, style))


def show_runs(runs: Path, task: str | None, style: str) -> str:
    """Local runs as a table, as GitHub markdown or as JSON.

    Raises:
        UsageError: Another format.
    """
    if style not in ("table", "github", "json"):
        raise UsageError(f"--runs cannot be shown as {style}; use table, github or json")
    return local_board(runs, task, style)


def check_board(submissions: Path) -> list[str]:
    """What is wrong with the committed board, and what to do; empty where nothing is.

    The board must be what the submissions give, and each submission must pass the first level of verification, which
    ``bench verify`` judges by the same function.
    """
    boards = build_board(submissions)
    lines = check_committed(boards, submissions.parent, text_board(boards, "github"))
    if lines:
        lines.append(RENEW)
    for name, reasons in failures(submissions, track).items():
        lines += [f"{name}: {reason}" for reason in reasons]
    return lines


def make_site(submissions: Path, site: Path, task: str | None) -> str:
    """Write the site and say where it begins."""
    pages = write_site(build_board(submissions, task), site, track)
    return f"{pages} pages; open {site / 'index.html'}"
