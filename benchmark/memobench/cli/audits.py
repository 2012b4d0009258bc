"""``bench audit``: a synthetic data set that somebody made elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import click


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
@click.option("--clean", type=click.Path(path_type=Path), help="Copy the files that are safe into this new folder.")
@click.option(
    "--fail-above", type=click.FloatRange(0, 1), help="Exit 1 if the copy rate's interval reaches above this share."
)
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
    fail_above: float | None,
    as_json: bool,
) -> None:
    """Say whether a synthetic data set may leave the house, and which of its images must not."""
    from memobench.audit.run import AuditSettings, audit_folders
    from memobench.base.terminal import say, track

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
    )
    report = audit_folders(asked, track=track, say=say)
    result = report.result
    click.echo(result.model_dump_json(indent=1) if as_json else f"{result.verdict}\n{result.guarantee}")
    if report.cleaned is not None:
        say(f"{report.cleaned.kept} files copied to {clean}, {report.cleaned.left_out} left out (left_out.csv)")
    say(f"Files: {out}/ (report.html, audit.json, audit.csv)")
    high = result.metrics["copy_rate"].high
    if fail_above is not None and (high is None or high > fail_above):
        say(f"bench: the copy rate may be {100 * (high or 1):.1f} %, above --fail-above {100 * fail_above:g} %")
        sys.exit(1)
