"""``bench submit``, ``attack`` and ``verify``: words in, calls out, no logic. Nothing heavy is imported early."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memobench.submissions.records import Level

LEVELS = ("self-reported", "rescored", "reproduced")


@click.command("submit")
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Who submits: a person or a group.")
@click.option("--contact", default="", help="Where questions go.")
@click.option("--link", default="", help="A page about the method (https).")
@click.option("--other-training-data", default="", metavar="TEXT", help="What else it learned from, weights too.")
@click.option("--tuned-on-test", is_flag=True, help="Some choice was made by looking at numbers measured on test.")
@click.option("--comment", default="", help="Anything else that a reader should know.")
@click.option("--samples-at", default="", metavar="URL", help="Where samples.npz can be had (https).")
@click.option("--plugin", type=click.Path(path_type=Path), help="The file that registers the model, if it is yours.")
@click.option("--into", type=click.Path(path_type=Path), default="leaderboard/submissions", show_default=True)
def submit_command(
    run_folder: Path,
    name: str,
    contact: str,
    link: str,
    other_training_data: str,
    tuned_on_test: bool,
    comment: str,
    samples_at: str,
    plugin: Path | None,
    into: Path,
) -> None:
    """Make a submission to the leaderboard of a finished run (runs/<run_id>)."""
    from memobench.submissions.submit import SubmitSettings, next_steps, submit

    asked = SubmitSettings(
        run=run_folder,
        name=name,
        contact=contact,
        link=link,
        other_training_data=other_training_data,
        tuned_on_test=tuned_on_test,
        comment=comment,
        samples_at=samples_at,
        plugin=plugin,
        into=into,
    )
    click.echo(next_steps(submit(asked)[1]))


@click.command("attack")
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--detector", required=True, help="One of `bench list detectors`, or of your plug-in.")
@click.option("--samples", type=click.Path(path_type=Path), help="The attacked samples.npz. [default: fetched]")
@click.option("--name", required=True, help="Who submits the attack: a person or a group.")
@click.option("--contact", default="", help="Where questions go.")
@click.option("--link", default="", help="A page about the detector (https).")
@click.option("--description", default="", metavar="TEXT", help="How the detector works.")
@click.option("--plugin", type=click.Path(path_type=Path), help="The file that registers the detector, if it is yours.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
def attack_command(
    submission: Path,
    detector: str,
    samples: Path | None,
    name: str,
    contact: str,
    link: str,
    description: str,
    plugin: Path | None,
    device: str,
    out: Path,
) -> None:
    """Look for copies in a listed SUBMISSION's samples with another detector; what it finds is written beside."""
    from memobench.base.terminal import say, track
    from memobench.submissions.attack import AttackSettings, attack, attack_words

    asked = AttackSettings(
        against=submission,
        detector=detector,
        name=name,
        contact=contact,
        link=link,
        description=description,
        samples=samples,
        plugin=plugin,
        out=out,
        device=device,
    )
    click.echo(attack_words(attack(asked, track=track, say=say)))


@click.command("verify")
@click.argument("submission", type=click.Path(path_type=Path), required=False)
@click.option("--level", type=click.Choice(LEVELS), default="self-reported", show_default=True)
@click.option("--samples", type=click.Path(path_type=Path), help="For rescored: samples.npz. [default: fetched]")
@click.option("--run-their-code", is_flag=True, help="For reproduced runs and rescored attacks: execute the plug-in.")
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
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
def verify_command(
    submission: Path | None,
    level: Level,
    samples: Path | None,
    run_their_code: bool,
    write: bool,
    submitted_by: str,
    changed: Path | None,
    root: Path,
    device: str,
    out: Path,
) -> None:
    """Verify a SUBMISSION (leaderboard/submissions/<task>/<run_id>), or all that a change adds."""
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
    found = verify(
        submission,
        level,
        samples=samples,
        out=out,
        device=device,
        run_their_code=run_their_code,
        track=track,
        say=say,
    )
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
