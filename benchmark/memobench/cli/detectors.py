"""``bench challenge`` and ``calibrate``: the measure itself, put to the proof."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import click

from memobench.calibration.settings import CalibrationSettings
from memobench.challenge.settings import ChallengeSettings
from memobench.cli.options import as_json_option, execution_options, plugin_option, settings_options
from memobench.execution.settings import Execution


@click.command("challenge")
@settings_options(ChallengeSettings)
@plugin_option
@execution_options
@as_json_option
def challenge_command(
    settings: ChallengeSettings, plugin: tuple[Path, ...], execution: Execution, as_json: bool
) -> None:
    """Score the copy detectors on planted copies and non-copies of a task's own images.

    Example: bench challenge --task xray --detectors verified,ssim
    """
    from memobench.base.registry import load_plugin
    from memobench.base.terminal import say, track
    from memobench.challenge.run import run_challenge, table

    for file in plugin:
        load_plugin(file)
    result, folder = run_challenge(settings, plugins=plugin, execution=execution, track=track, say=say)
    click.echo(result.model_dump_json(indent=1) if as_json else table(result))
    say(f"File: {folder}/result.json")


@click.command("calibrate")
@settings_options(CalibrationSettings)
@click.option("--level", type=click.Choice(["features", "images"]), default="features", show_default=True)
@execution_options
@as_json_option
def calibrate_command(
    settings: CalibrationSettings, level: Literal["features", "images"], execution: Execution, as_json: bool
) -> None:
    """Show how often the measure is right where the truth is known, with copies and without.

    Without --task, generators are simulated from the ground up; with it, copies are planted in real images.

    Example: bench calibrate --task xray --draws 50

    With --situations, sets with known truth are audited; exit status 1 where a decision is wrong.

    Example: bench calibrate --task xray --situations all --only "copies among 60" --draws 20

    With --groups, copies are planted in groups (parts of images, composites, reconstructions, other poses).

    Example: bench calibrate --task xray --groups half,quarter --copies 10
    """
    from memobench.base.terminal import say, track

    if settings.groups:
        from memobench.calibration.groups import groups_json, groups_text
        from memobench.calibration.run import judge_groups

        found = judge_groups(settings, execution=execution, track=track, say=say)
        click.echo(json.dumps(groups_json(found), indent=1) if as_json else groups_text(found))
        return
    if settings.situations is not None:
        from memobench.calibration.run import judge_situations
        from memobench.calibration.situations import situations_text

        outcomes = judge_situations(settings, execution=execution, track=track, say=say)
        click.echo(json.dumps([one.as_json() for one in outcomes], indent=1) if as_json else situations_text(outcomes))
        if not all(one.right for one in outcomes):
            sys.exit(1)
        return
    if settings.task is None:
        from memobench.calibration.calibrate import calibrate, calibration_text
        from memobench.execution.perform import Workplace

        place = Workplace(execution, settings.out, track, say)
        simulated = calibrate(draws=settings.repeats, level=level, seed=settings.seed, place=place)
        click.echo(json.dumps(simulated.as_json(), indent=1) if as_json else calibration_text(simulated))
        return
    from memobench.calibration.own_images import own_images_text
    from memobench.calibration.run import calibrate_task

    planted = calibrate_task(settings, execution=execution, track=track, say=say)
    click.echo(json.dumps(planted.as_json(), indent=1) if as_json else own_images_text(planted))
