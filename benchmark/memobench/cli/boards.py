"""``bench leaderboard``: submissions, ranked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memobench.base.errors import UsageError


@click.command("leaderboard")
@click.option("--task", help="Only this task.")
@click.option(
    "--submissions",
    type=click.Path(path_type=Path),
    default="leaderboard/submissions",
    show_default=True,
    help="Folder of all submissions.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "github", "csv", "json", "latex", "html"]),
    default="table",
    show_default=True,
)
@click.option("--site", type=click.Path(path_type=Path), help="Write a static site into this folder.")
@click.option(
    "--check",
    is_flag=True,
    help="Fail where BOARD.md or board.json differ from what the submissions give, or one fails verification.",
)
@click.option("--runs", type=click.Path(path_type=Path), help="Show the local runs in this folder instead.")
def leaderboard_command(
    task: str | None, submissions: Path, style: str, site: Path | None, check: bool, runs: Path | None
) -> None:
    """Rank the submissions by image quality and copying, as far as intervals make the order clear."""
    from memobench.board.show import check_board, make_site, show_board, show_runs

    if runs is not None:
        if site is not None or check:
            raise UsageError("--runs shows local runs as a table; --site and --check are for submissions")
        click.echo(show_runs(runs, task, style))
    elif check:
        if task is not None:
            raise UsageError("--check looks at the whole board; leave --task out")
        lines = check_board(submissions)
        click.echo(
            "\n".join(lines) if lines else "the committed board is what the submissions give, and all of them pass"
        )
        if lines:
            sys.exit(1)
    elif site is not None:
        click.echo(make_site(submissions, site, task))
    else:
        click.echo(show_board(submissions, task, style))
