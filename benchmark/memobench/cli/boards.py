"""``bench leaderboard``: submissions, ranked."""

from __future__ import annotations

import sys

import click

from memobench.base.errors import UsageError
from memobench.board.settings import BoardSettings
from memobench.cli.options import execution_options, settings_options
from memobench.execution.settings import HERE, Execution


@click.command("leaderboard")
@settings_options(BoardSettings)
@execution_options
def leaderboard_command(settings: BoardSettings, execution: Execution) -> None:
    """Rank the submissions by image quality and copying, as far as intervals make the order clear.

    Each task has a track on its embedded data, and one on each published split of real data that was submitted to.

    Example: bench leaderboard --task xray --data chestxray14:mini

    With --remeasure, rows of an older detector or measure are brought up to date from the samples that their
    submissions carry; several at once with --jobs or --executor.
    """
    from memobench.board.show import check_board, make_site, show_board, show_runs

    if settings.remeasure:
        sys.exit(_remeasured(settings, execution))
    if execution != HERE:
        raise UsageError("--executor, --jobs and --executor-set are for --remeasure")
    if settings.runs is not None:
        if settings.site is not None or settings.check:
            raise UsageError("--runs shows local runs as a table; --site and --check are for submissions")
        click.echo(show_runs(settings.runs, settings.task, settings.style))
    elif settings.check:
        if settings.task is not None or settings.data is not None:
            raise UsageError("--check looks at the whole board; leave --task and --data out")
        lines = check_board(settings.submissions)
        click.echo(
            "\n".join(lines) if lines else "the committed board is what the submissions give, and all of them pass"
        )
        if lines:
            sys.exit(1)
    elif settings.site is not None:
        click.echo(make_site(settings.submissions, settings.site, settings.task))
    else:
        click.echo(show_board(settings.submissions, settings.task, settings.style, settings.data))


def _remeasured(settings: BoardSettings, execution: Execution) -> int:
    """Measure again, say what was done, and give the exit status: 1 where a submission could not be."""
    from memobench.base.terminal import say, track
    from memobench.board.show import RENEW
    from memobench.submissions.remeasure import remeasure, summary
    from memobench.submissions.settings import RemeasureSettings

    if settings.site is not None or settings.check or settings.runs is not None:
        raise UsageError("--remeasure changes submissions alone; leave --site, --check and --runs out")
    asked = RemeasureSettings(
        settings.submissions,
        settings.task,
        settings.only,
        settings.train,
        settings.images,
        settings.device,
        settings.out,
    )
    found = remeasure(asked, execution=execution, track=track, say=say)
    click.echo(summary(found))
    if any(one.now for one in found):
        say(RENEW)
    return 0 if all(one.now for one in found) else 1
