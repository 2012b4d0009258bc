"""``bench submit``, ``attack`` and ``verify``: words in, calls out, no logic. Nothing heavy is imported early."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memobench.cli.options import settings_options
from memobench.settings import PLACES
from memobench.submissions.settings import AttackSettings, SubmitSettings, VerifySettings

if TYPE_CHECKING:
    pass


@click.command("submit")
@settings_options(SubmitSettings, argument="run")
def submit_command(settings: SubmitSettings) -> None:
    """Make a submission to the leaderboard of a finished run (runs/<run_id>).

    Example: bench submit runs/xray-mine-0123456789abcdef --name "Your group" --plugin mine.py
    """
    from memobench.submissions.submit import next_steps, submit

    made, folder = submit(settings)
    click.echo(next_steps(folder, made))


@click.command("export")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(PLACES), required=True, help="For which place.")
@click.option("--dataset", default="", metavar="OWNER/NAME", help="Of eval-results: the data set on the Hub.")
@click.option("--hub-model", default="", metavar="OWNER/NAME", help="The model's name on the Hub.")
@click.option("--link", default="", metavar="URL", help="An https address with more about the results.")
def export_command(runs: tuple[Path, ...], style: str, dataset: str, hub_model: str, link: str) -> None:
    """Print the results of RUNS (runs/<run_id>, or submissions) as other places read them.

    Example: bench export runs/xray-ldm-0123456789abcdef --format model-card

    Example: bench export runs/xray-ldm-0123456789abcdef --format eval-results --dataset owner/name
    """
    import time

    from memobench.report.travel import Destination, exported
    from memobench.submissions.older import result_of_folder

    where = Destination(dataset, hub_model, link, int(time.time()))
    click.echo(exported([result_of_folder(folder) for folder in runs], style, where), nl=False)


@click.command("attack")
@settings_options(AttackSettings, argument="against")
def attack_command(settings: AttackSettings) -> None:
    """Look for copies in a listed SUBMISSION's samples with another detector; what it finds is written beside.

    Example: bench attack leaderboard/submissions/xray/xray-ldm-0123456789abcdef --detector ssim --name "Your group"
    """
    from memobench.base.terminal import say, track
    from memobench.submissions.attack import attack, attack_words

    click.echo(attack_words(attack(settings, track=track, say=say)))


@click.command("verify")
@click.argument("submission", type=click.Path(path_type=Path), required=False)
@settings_options(VerifySettings)
@click.option("--write", is_flag=True, help="Write leaderboard/verified/<run_id>.json.")
@click.option(
    "--submitted-by",
    default="",
    metavar="ACCOUNT",
    help="With --write: the account that handed it in (github:name), as you attest. Seeds join one row by it.",
)
@click.option(
    "--changed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Check a change: `git diff --name-status` output.",
)
@click.option("--root", type=click.Path(path_type=Path), default=".", help="With --changed: the changed checkout.")
def verify_command(
    settings: VerifySettings,
    submission: Path | None,
    write: bool,
    submitted_by: str,
    changed: Path | None,
    root: Path,
) -> None:
    """Verify a SUBMISSION (leaderboard/submissions/<task>/<run_id>), or all that a change adds.

    Example: bench verify leaderboard/submissions/xray/xray-ldm-0123456789abcdef --level rescored
    """
    from memobench.base.errors import UsageError
    from memobench.base.terminal import say, track
    from memobench.submissions.changes import verify_changes
    from memobench.submissions.compare import differences_text, leak_words
    from memobench.submissions.verify import verify, write_verification

    if changed is not None and submission is None:
        if not changed.is_file():
            raise UsageError(f"{changed} is no file; write it with git diff --name-status --no-renames BASE...HEAD")
        problems = verify_changes(changed.read_text(encoding="utf-8"), root)
        click.echo("\n".join(problems) or "the change adds submissions alone, and each passes")
        sys.exit(1 if problems else 0)
    if submission is None or changed is not None:
        raise UsageError("give one SUBMISSION, or --changed FILE")
    found = verify(submission, settings, track=track, say=say)
    for problem in found.problems:
        click.echo(f"- {problem}")
    click.echo(differences_text(found.differences))
    for leak in found.leaks or []:
        click.echo(leak_words(leak))
    click.echo(f"{'passed' if found.passed else 'FAILED'} as {found.level}")
    if write:
        say(f"File: {write_verification(found, submission, submitted_by)}")
    if not found.passed:
        sys.exit(1)
