"""``bench run``, ``measure``, ``check`` and ``study``: generators, trained and measured."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from memobench.base.errors import UsageError
from memobench.base.words import seeds_of
from memobench.cli.options import (
    all_option,
    as_json_option,
    execution_options,
    log_option,
    plugin_option,
    settings_options,
)
from memobench.execution.settings import Execution
from memobench.settings import MeasureSettings, RunSettings
from memobench.study.settings import StudySettings


@click.command("run")
@settings_options(RunSettings)
@click.option("--seeds", metavar="A-B", help="Several seeds, one run each, for example 0-4.")
@plugin_option
@click.option("--dry-run", is_flag=True, help="Check everything, show what would be done, and stop.")
@click.option("--rehearse", is_flag=True, help="Say before the fit how much memory it will hold, from two steps.")
@execution_options
@all_option
@log_option
def run_command(  # noqa: PLR0913  an argument for each option
    settings: RunSettings,
    seeds: str | None,
    plugin: tuple[Path, ...],
    dry_run: bool,
    rehearse: bool,
    execution: Execution,
    every: bool,
    trackers: tuple[str, ...],
) -> None:
    """Train a model on a task, sample it, and measure quality and memorization.

    Example: bench run --model ldm --task xray

    Several processes or GPUs: torchrun --nproc-per-node 2 --no-python bench run ...

    Several seeds at once: bench run ... --seeds 0-4 --jobs 2, or on a cluster with --executor slurm or ray
    """
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.report.tables import summary
    from memobench.report.trackers import check_trackers, log_run
    from memobench.run import follow, plan, run
    from memobench.training.processes import launched, leave_processes

    check_trackers(trackers)
    if rehearse and (dry_run or launched().count > 1 or not execution.here):
        raise UsageError("--rehearse is for a run in this process; leave out --dry-run, torchrun, --jobs, --executor")
    for file in plugin:
        load_plugin(file)
    wanted = [dataclasses.replace(settings, seed=seed) for seed in (seeds_of(seeds) if seeds else (settings.seed,))]
    if not execution.here and not dry_run:
        from memobench.study.grid import run_all

        if launched().count > 1:
            raise UsageError("--executor and --jobs start the processes themselves; leave torchrun out")
        for one in run_all(wanted, execution=execution, plugins=plugin, say=say):
            click.echo(summary(one.result, one.folder, every=every))
            log_run(one.result, one.folder, trackers)
        return
    try:
        for asked in wanted:
            if not launched().main:
                if not dry_run:
                    follow(asked)
                continue
            if dry_run:
                click.echo(plan(asked))
                continue
            result, folder = run(asked, rehearse=rehearse, track=track, say=say)
            click.echo(summary(result, folder, every=every))
            log_run(result, folder, trackers)
    finally:
        leave_processes()


@click.command("measure")
@settings_options(MeasureSettings)
@as_json_option
@all_option
@log_option
def measure_command(settings: MeasureSettings, as_json: bool, every: bool, trackers: tuple[str, ...]) -> None:
    """Measure images that you drew from a model of your own, as if the model had run here.

    Example: bench measure --task xray --samples made/ --name mine --trained-on task

    Images of another size are resampled to the task's, whole, and all are rounded to 8 bit. `bench data export` gives
    out the training images.
    """
    from memobench.base.terminal import say, track
    from memobench.outside import measure_samples
    from memobench.report.tables import summary
    from memobench.report.trackers import check_trackers, log_run

    check_trackers(trackers)
    result, folder = measure_samples(settings, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else summary(result, folder, every=every))
    log_run(result, folder, trackers)


@click.command("check")
@click.argument("name")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...")
def check_command(name: str, device: str) -> None:
    """Check that a model (a NAME or a Python FILE) keeps the contract of an entry, in 2D and 3D.

    Example: bench check mine.py
    """
    from memobench.check import check_named

    lines, passed = check_named(name, device=device)
    click.echo("\n".join(lines))
    if not passed:
        sys.exit(1)


@click.command("study")
@settings_options(StudySettings)
@execution_options
@as_json_option
def study_command(settings: StudySettings, execution: Execution, as_json: bool) -> None:
    """Vary each factor of training alone, over seeds, and see which published findings come out.

    Example: bench study --task xray --brief --kept kept --jobs 2

    On a cluster: bench study --task xray --executor slurm --executor-set time=4:00:00 --executor-set gpus-per-node=1
    """
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.study.results import study_text
    from memobench.study.run import run_study

    for file in settings.plugins:
        load_plugin(file)
    result, folder = run_study(settings, execution=execution, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else study_text(result))
    say(f"Files: {folder}/ (study.json, and a figure for each factor as PNG and SVG)")
