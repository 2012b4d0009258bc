"""``bench run``, ``check`` and ``study``: generators, trained and measured."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memobench.cli.words import fields, names, seeds_of
from memobench.training.acceleration import PRECISIONS


@click.command("run")
@click.option("--model", required=True, help="A model of `bench list models`.")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help="phantom, NAME[=DIR], or a folder.")
@click.option("--size", type=int, help="Side length in pixels. [default: the task's]")
@click.option("--preset", help="Named hyper-parameters. [default: quick]")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set one field; may be repeated.")
@click.option("--samples", type=click.IntRange(min=1), help="Number of samples. [default: the task's]")
@click.option("--train-patients", type=click.IntRange(min=2), help="Train on so many patients only. [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Base seed of fit and sampling.")
@click.option("--seeds", metavar="A-B", help="Several seeds, one run each, for example 0-4.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True, help="Of networks.")
@click.option("--compile", "compiled", is_flag=True, help="Compile networks; pays in long trainings on GPUs.")
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
    precision: str,
    compiled: bool,
    features: tuple[str, ...],
    plugin: tuple[Path, ...],
    out: Path,
    fresh: bool,
    dry_run: bool,
) -> None:
    """Train a model on a task, sample it, and measure quality and memorization.

    Several processes or GPUs: torchrun --nproc-per-node 2 --no-python bench run ...
    """
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.report.tables import summary
    from memobench.run import RunSettings, follow, plan, run
    from memobench.training.acceleration import Acceleration
    from memobench.training.processes import launched

    for file in plugin:
        load_plugin(file)
    for base in seeds_of(seed, seeds):
        asked = RunSettings(
            model=model,
            task=task,
            data=data,
            size=size,
            preset=preset or "quick",
            settings=fields(settings),
            samples=samples,
            train_patients=train_patients,
            seed=base,
            device=device,
            features=features,
            out=out,
            again=fresh,
            acceleration=Acceleration(precision, compiled),
        )
        if not launched().main:
            if not dry_run:
                follow(asked)
            continue
        if dry_run:
            click.echo(plan(asked))
            continue
        result, folder = run(asked, track=track, say=say)
        click.echo(summary(result))
        click.echo(f"Files: {folder}/ (result.json, gallery.png, samples.png, calls.csv, samples.npz, scores.npz)")


@click.command("check")
@click.argument("name")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...")
def check_command(name: str, device: str) -> None:
    """Check that a model (a NAME or a Python FILE) keeps the contract of an entry, in 2D and 3D."""
    from memobench.check import check_named

    lines, passed = check_named(name, device=device)
    click.echo("\n".join(lines))
    if not passed:
        sys.exit(1)


@click.command("study")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help="phantom, NAME[=DIR], or a folder.")
@click.option("--model", default="ldm", show_default=True, help="The model that the findings are about.")
@click.option("--against", default="vae,gan", show_default=True, help="The models that it is compared with.")
@click.option("--size", type=int, help="Side length in pixels. [default: the task's]")
@click.option(
    "--only",
    metavar="FACTOR,FACTOR",
    help="model, augmentation, width, patients, length, mitigation. [default: the first five]",
)
@click.option("--brief", is_flag=True, help="Only the arms that findings compare, not the levels between and beyond.")
@click.option("--preset", default="quick", show_default=True, help="Named hyper-parameters, of all models.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set a field of that model; may be repeated."
)
@click.option("--seeds", metavar="A-B", default="0-2", show_default=True, help="One run of each arm per seed.")
@click.option("--samples", type=click.IntRange(min=1), help="Number of samples. [default: the task's]")
@click.option("--train-patients", type=click.IntRange(min=2), help="Of all arms; some take a share. [default: all]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at once.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file with further entries.")
@click.option("--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs.")
@click.option("--kept", type=click.Path(path_type=Path), help="Folder of small results: read, and new ones added.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def study_command(
    task: str,
    data: str,
    model: str,
    against: str,
    size: int | None,
    only: str | None,
    brief: bool,
    preset: str,
    settings: tuple[str, ...],
    seeds: str,
    samples: int | None,
    train_patients: int | None,
    jobs: int,
    device: str,
    plugin: tuple[Path, ...],
    out: Path,
    kept: Path | None,
    as_json: bool,
) -> None:
    """Vary each factor of training alone, over seeds, and see which published findings come out."""
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.study.results import study_text
    from memobench.study.run import StudySettings, run_study

    for file in plugin:
        load_plugin(file)
    asked = StudySettings(
        task=task,
        data=data,
        model=model,
        against=names(against),
        size=size,
        only=names(only or ""),
        brief=brief,
        preset=preset,
        settings=fields(settings),
        seeds=tuple(seeds_of(0, seeds)),
        samples=samples,
        train_patients=train_patients,
        jobs=jobs,
        device=device,
        plugins=plugin,
        out=out,
        kept=kept,
    )
    result, folder = run_study(asked, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else study_text(result))
    say(f"Files: {folder}/ (study.json, and a figure for each factor as PNG and SVG)")
