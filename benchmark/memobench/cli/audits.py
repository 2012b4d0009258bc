"""``bench audit``: a synthetic data set that somebody made elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memobench.measure.decision import Findings


@click.command("audit")
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="Folder of the synthetic images.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="Folder of the images trained on.")
@click.option("--holdout", type=click.Path(path_type=Path), help="Folder of images of patients never trained on.")
@click.option("--dim", type=click.IntRange(2, 3), help="Images or volumes. [default: found from the data]")
@click.option("--size", type=int, help="Longest side that images are brought to. [default: 64, volumes 32]")
@click.option("--patient-regex", help="Where a file's path names the patient, for example 'p(\\d+)_'.")
@click.option("--skip-unreadable", is_flag=True, help="Go on without files that cannot be read, and say so.")
@click.option(
    "--max-image-gib",
    type=click.FloatRange(0, min_open=True),
    default=4.0,
    show_default=True,
    help="Refuse files that declare more pixels than this.",
)
@click.option("--preset", default="quick", show_default=True, help="How much the detector is trained.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--out", type=click.Path(path_type=Path), default="audit", show_default=True, help="Where the report goes."
)
@click.option(
    "--clean", type=click.Path(path_type=Path), help="Copy the images that match nobody into this new folder."
)
@click.option(
    "--strata",
    default="",
    help="Columns of manifest.csv that explain how train and holdout differ, for example site,view.",
)
@click.option(
    "--policy", type=click.Path(path_type=Path), help="TOML file of limits that decide pass or fail; exit 1 on a fail."
)
@click.option(
    "--fail-above",
    type=click.FloatRange(0, 1),
    help='Exit 1 on "do not release", or if more than this share of the images could be copies.',
)
@click.option("--no-store", is_flag=True, help="Delete the stored stages, which hold the real images, at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def audit_command(
    synthetic: Path,
    train: Path,
    holdout: Path | None,
    dim: int | None,
    size: int | None,
    patient_regex: str | None,
    skip_unreadable: bool,
    max_image_gib: float,
    preset: str,
    device: str,
    out: Path,
    clean: Path | None,
    strata: str,
    policy: Path | None,
    fail_above: float | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Say whether a synthetic data set is safe to share, and which of its images to hold back.

    Example: bench audit --synthetic made/ --train real/train --holdout real/holdout --clean cleaned/

    The folder --out is confidential; what may be handed on stands in its folder public/, and --clean holds images
    alone. A policy sets any of largest_copy_rate, largest_patients, least_sensitivity and least_holdout_patients.

    Exit status: 0 the audit was done, whatever its decision; 1 it failed, the policy is not met, or --fail-above was
    given and the decision is "do not release" or more than that share could be copies; 2 wrong usage.
    """
    from memobench.audit.public import policy_words
    from memobench.audit.run import AuditSettings, audit_folders
    from memobench.base.terminal import say, track
    from memobench.base.words import names

    asked = AuditSettings(
        synthetic=synthetic,
        train=train,
        holdout=holdout,
        dim=dim,
        size=size,
        patient_regex=patient_regex,
        skip_unreadable=skip_unreadable,
        max_image_gib=max_image_gib,
        preset=preset,
        device=device,
        out=out,
        clean=clean,
        policy=policy,
        strata=names(strata),
        store=not no_store,
    )
    report = audit_folders(asked, track=track, say=say)
    result = report.result
    lines = [result.decision.sentence, result.guarantee]
    lines += [policy_words(result.policy)] if result.policy is not None else []
    click.echo(result.model_dump_json(indent=1) if as_json else "\n".join(lines))
    if report.cleaned is not None:
        say(f"{report.cleaned.kept} files copied to {clean}; {report.cleaned.left_out} left out ({out}/left_out.csv)")
    say(f"Confidential: {out}/ (report.html, audit.json, audit.csv, left_out.csv). To hand on: {out}/public/")
    if not no_store:
        say(f"Stored stages hold the real images: delete {out}/.stages when you are done, or use --no-store")
    failed = False
    if result.policy is not None and not result.policy.passed:
        say(f"bench: the policy is not met: {'; '.join(result.policy.reasons)}")
        failed = True
    if fail_above is not None and (why := above(report.findings, fail_above)):
        say(f"bench: {why}")
        failed = True
    if failed:
        sys.exit(1)


def above(findings: Findings, share: float) -> str:
    """Why a set fails ``--fail-above``; empty where it does not."""
    from memobench.measure.decision import decide_set, percent

    if decide_set(findings).word == "do not release":
        return 'the decision is "do not release", so --fail-above fails'
    if findings.most > share:
        return f"up to {percent(findings.most)} of the images could be copies, above --fail-above {percent(share)}"
    return ""
