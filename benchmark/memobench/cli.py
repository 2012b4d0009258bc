"""The ``bench`` command: words in, calls out, no logic.

Data go to stdout, everything else to stderr. Exit status: 0 done, 1 a run or a check failed or was interrupted,
2 wrong usage. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click

import memobench
from memobench.errors import MemobenchError, UsageError
from memobench.submitting.commands import submit_command, verify_command

KINDS = ("models", "tasks", "data", "detectors", "features")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(memobench.__version__)
def bench() -> None:
    """Measure how good a generative model's medical images are, and how many of them are copies of patients."""


@bench.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(kind: str | None, as_json: bool) -> None:
    """List models, tasks, data sources, detectors and features."""
    from memobench.listing import listing, listing_text

    entries = listing([kind] if kind else list(KINDS))
    click.echo(json.dumps(entries, indent=1) if as_json else listing_text(entries))


@bench.command("run")
@click.option("--model", required=True, help="A model of `bench list models`.")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help='"phantom", or a folder with a manifest.csv.')
@click.option("--size", type=int, help="Side length in pixels. [default: the task's]")
@click.option("--preset", help="Named hyper-parameters. [default: quick]")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set one field; may be repeated.")
@click.option("--samples", type=click.IntRange(min=1), help="Number of samples. [default: the task's]")
@click.option("--train-patients", type=click.IntRange(min=2), help="Train on so many patients only. [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Base seed of fit and sampling.")
@click.option("--seeds", metavar="A-B", help="Several seeds, one run each, for example 0-4.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--features", multiple=True, help="Measure quality on these too (`bench list features`).")
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file with further entries.")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--fresh", is_flag=True, help="Do every stage anew instead of using what is stored.")
@click.option("--dry-run", is_flag=True, help="Check everything, show what would be done, and stop.")
def run_command(
    model: str,
    task: str,
    data: str,
    size: int | None,
    preset: str | None,
    settings: tuple[str, ...],
    samples: int | None,
    train_patients: int | None,
    seed: int,
    seeds: str | None,
    device: str,
    features: tuple[str, ...],
    plugin: tuple[Path, ...],
    out: Path,
    fresh: bool,
    dry_run: bool,
) -> None:
    """Train a model on a task, sample it, and measure quality and memorization."""
    from memobench.progress import say, track
    from memobench.registry import load_plugin
    from memobench.report.tables import summary
    from memobench.run import RunSettings, plan, run

    for file in plugin:
        load_plugin(file)
    for base in _seeds(seed, seeds):
        asked = RunSettings(
            model=model,
            task=task,
            data=data,
            size=size,
            preset=preset or "quick",
            settings=_fields(settings),
            samples=samples,
            train_patients=train_patients,
            seed=base,
            device=device,
            features=features,
            out=out,
            again=fresh,
        )
        if dry_run:
            click.echo(plan(asked))
            continue
        result, folder = run(asked, track=track, say=say)
        click.echo(summary(result))
        click.echo(f"Files: {folder}/ (result.json, gallery.png, calls.csv, samples.npz, scores.npz)")


@bench.command("check")
@click.argument("name")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...")
def check_command(name: str, device: str) -> None:
    """Check that a model (a NAME or a Python FILE) keeps the contract of an entry, in 2D and 3D."""
    from memobench.testing import check_named

    lines, passed = check_named(name, device=device)
    click.echo("\n".join(lines))
    if not passed:
        sys.exit(1)


@bench.command("challenge")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help='"phantom", or a folder with a manifest.csv.')
@click.option("--size", type=int, help="Side length in pixels. [default: the task's]")
@click.option("--detectors", default="all", show_default=True, help="NAME,NAME of `bench list detectors`, or all.")
@click.option("--strength", default="medium", show_default=True, help="weak, medium or strong.")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="Copies per perturbation.")
@click.option("--preset", default="quick", show_default=True, help="How much the detectors are trained.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the choice of images and of training.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file with further detectors.")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--fresh", is_flag=True, help="Do every stage anew instead of using what is stored.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def challenge_command(
    task: str,
    data: str,
    size: int | None,
    detectors: str,
    strength: str,
    count: int,
    preset: str,
    seed: int,
    device: str,
    plugin: tuple[Path, ...],
    out: Path,
    fresh: bool,
    as_json: bool,
) -> None:
    """Score the copy detectors on planted copies and non-copies of a task's own images."""
    from memobench.challenge_run import ChallengeSettings, detector_names, run_challenge, table
    from memobench.progress import say, track
    from memobench.registry import load_plugin

    for file in plugin:
        load_plugin(file)
    asked = ChallengeSettings(
        task, data, size, detector_names(detectors), strength, count, preset, seed, device, out, fresh
    )
    result, folder = run_challenge(asked, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else table(result))
    say(f"File: {folder}/result.json")


@bench.command("study")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help='"phantom", or a folder with a manifest.csv.')
@click.option("--model", default="ldm", show_default=True, help="The model that the findings are about.")
@click.option("--against", default="vae,gan", show_default=True, help="The models that it is compared with.")
@click.option("--size", type=int, help="Side length in pixels. [default: the task's]")
@click.option("--only", metavar="FACTOR,FACTOR", help="model, augmentation, width, patients, length. [default: all]")
@click.option("--preset", default="quick", show_default=True, help="Named hyper-parameters, of all models.")
@click.option("--seeds", metavar="A-B", default="0-2", show_default=True, help="One run of each arm per seed.")
@click.option("--samples", type=click.IntRange(min=1), help="Number of samples. [default: the task's]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at once.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file with further entries.")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def study_command(
    task: str,
    data: str,
    model: str,
    against: str,
    size: int | None,
    only: str | None,
    preset: str,
    seeds: str,
    samples: int | None,
    jobs: int,
    device: str,
    plugin: tuple[Path, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Vary each factor of training alone, over seeds, and see which published findings come out."""
    from memobench.progress import say, track
    from memobench.registry import load_plugin
    from memobench.study_run import StudySettings, run_study, study_text

    for file in plugin:
        load_plugin(file)
    asked = StudySettings(
        task=task,
        data=data,
        model=model,
        against=_names(against),
        size=size,
        only=_names(only or ""),
        preset=preset,
        seeds=tuple(_seeds(0, seeds)),
        samples=samples,
        jobs=jobs,
        device=device,
        plugins=plugin,
        out=out,
    )
    result, folder = run_study(asked, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else study_text(result))
    say(f"Files: {folder}/ (study.json, and a figure for each factor as PNG and SVG)")


@bench.command("audit")
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="Folder of the synthetic images.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="Folder of the images trained on.")
@click.option("--holdout", type=click.Path(path_type=Path), help="Folder of images of patients never trained on.")
@click.option("--dim", type=click.IntRange(2, 3), help="Images or volumes. [default: found from the data]")
@click.option("--size", type=int, help="Longest side that images are brought to. [default: 64, volumes 32]")
@click.option("--patient-regex", help="Where a file's path names the patient, for example 'p(\\d+)_'.")
@click.option("--skip-unreadable", is_flag=True, help="Go on without files that cannot be read, and say so.")
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
    preset: str,
    device: str,
    out: Path,
    clean: Path | None,
    fail_above: float | None,
    as_json: bool,
) -> None:
    """Say whether a synthetic data set may leave the house, and which of its images must not."""
    from memobench.audit_run import AuditSettings, audit_folders
    from memobench.progress import say, track

    asked = AuditSettings(
        synthetic=synthetic,
        train=train,
        holdout=holdout,
        dim=dim,
        size=size,
        patient_regex=patient_regex,
        skip_unreadable=skip_unreadable,
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


@bench.command("leaderboard")
@click.option("--task", help="Only this task.")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--format", "style", type=click.Choice(["table", "github", "json"]), default="table", show_default=True)
def leaderboard_command(task: str | None, out: Path, style: str) -> None:
    """Show the local runs as one table, the smallest copy rate first."""
    from memobench.board import local_board

    click.echo(local_board(out, task, style))


@bench.command("calibrate")
@click.option("--task", help="Plant copies in this task's own images, instead of simulating generators.")
@click.option("--data", default="phantom", show_default=True, help='With --task: "phantom", or a folder.')
@click.option("--strength", default="medium", show_default=True, help="With --task: weak, medium or strong copies.")
@click.option("--draws", type=click.IntRange(min=2), default=300, show_default=True, help="Draws of each scenario.")
@click.option("--level", type=click.Choice(["features", "images"]), default="features", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Base seed of the simulation.")
@click.option("--device", default="auto", show_default=True, help="With --task: auto, cpu, cuda, cuda:1, ...")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrate_command(
    task: str | None,
    data: str,
    strength: str,
    draws: int,
    level: Literal["features", "images"],
    seed: int,
    device: str,
    out: Path,
    as_json: bool,
) -> None:
    """Show how often the measure is right where the truth is known, with copies and without.

    Without --task, generators are simulated from the ground up; with it, copies are planted in real images.
    """
    from memobench.progress import say, track

    if task is None:
        from memobench.calibration.calibrate import calibrate, calibration_text

        simulated = calibrate(draws=draws, level=level, seed=seed, track=track)
        click.echo(json.dumps(simulated.as_json(), indent=1) if as_json else calibration_text(simulated))
        return
    from memobench.calibrate_run import calibrate_task
    from memobench.calibration.own_images import own_images_text

    planted = calibrate_task(
        task, data, draws=draws, strength=strength, seed=seed, device=device, out=out, track=track, say=say
    )
    click.echo(json.dumps(planted.as_json(), indent=1) if as_json else own_images_text(planted))


bench.add_command(submit_command)
bench.add_command(verify_command)


@bench.group("data")
def data_group() -> None:
    """Look at image data before they are used."""


@data_group.command("check")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dim", type=click.IntRange(2, 3), help="2 or 3. [default: that of most files]")
@click.option("--patient-regex", metavar="REGEX", help="Finds the patient in a file's path, in its first group.")
@click.option("--skip-unreadable", is_flag=True, help="Exit with 0 though some files cannot be used.")
def data_check_command(folder: Path, dim: int | None, patient_regex: str | None, skip_unreadable: bool) -> None:
    """Say what a FOLDER of images holds, and name every file that cannot be used, with the reason.

    PNG, JPEG, TIFF, NPY, NPZ, DICOM and NIfTI are read, whatever their names.
    """
    from memobench.intake.check import check_folder
    from memobench.progress import track

    text, usable = check_folder(
        folder, dim=dim, patient_regex=patient_regex, skip_unreadable=skip_unreadable, track=track
    )
    click.echo(text)
    if not usable:
        sys.exit(1)


def _fields(settings: tuple[str, ...]) -> dict[str, str]:
    fields = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f'--set takes FIELD=VALUE, not "{word}"; for example --set steps=500')
        fields[name.strip()] = value.strip()
    return fields


def _names(words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in words.split(",") if name.strip()))


def _seeds(seed: int, seeds: str | None) -> range:
    if seeds is None:
        return range(seed, seed + 1)
    first, dash, last = seeds.partition("-")
    if not (first.isdigit() and dash and last.isdigit() and int(first) <= int(last)):
        raise UsageError(f'--seeds takes A-B with A <= B, not "{seeds}"; for example --seeds 0-4')
    return range(int(first), int(last) + 1)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit status; every expected error is one line."""
    try:
        status: Any = bench.main(arguments, prog_name="bench", standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted; the same command goes on where it stopped", 1)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except MemobenchError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    click.echo(f"bench: {message}", err=True)
    sys.exit(status)
