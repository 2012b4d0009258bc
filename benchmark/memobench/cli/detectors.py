"""``bench challenge`` and ``calibrate``: the measure itself, put to the proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click


@click.command("challenge")
@click.option("--task", required=True, help="A task of `bench list tasks`.")
@click.option("--data", default="phantom", show_default=True, help="phantom, NAME[=DIR], or a folder.")
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
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.challenge.run import ChallengeSettings, detector_names, run_challenge, table

    for file in plugin:
        load_plugin(file)
    asked = ChallengeSettings(
        task, data, size, detector_names(detectors), strength, count, preset, seed, device, out, fresh
    )
    result, folder = run_challenge(asked, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else table(result))
    say(f"File: {folder}/result.json")


@click.command("calibrate")
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
    from memobench.base.terminal import say, track

    if task is None:
        from memobench.calibration.calibrate import calibrate, calibration_text

        simulated = calibrate(draws=draws, level=level, seed=seed, track=track)
        click.echo(json.dumps(simulated.as_json(), indent=1) if as_json else calibration_text(simulated))
        return
    from memobench.calibration.own_images import own_images_text
    from memobench.calibration.run import calibrate_task

    planted = calibrate_task(
        task, data, draws=draws, strength=strength, seed=seed, device=device, out=out, track=track, say=say
    )
    click.echo(json.dumps(planted.as_json(), indent=1) if as_json else own_images_text(planted))
