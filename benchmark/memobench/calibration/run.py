"""``bench calibrate --task``: the measure against known truth, on a task's own images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from memobench.base.clock import Clock
from memobench.base.errors import UsageError, suggest
from memobench.base.progress import Track, silent
from memobench.base.store import Store
from memobench.calibration.own_images import OwnImagesCalibration, calibrate_stock, take_stock
from memobench.challenge.perturb import STRENGTHS
from memobench.data.splits import load_splits
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.stage import fit_detector, load_detector
from memobench.task import TASKS
from memobench.training.acceleration import device_of


def calibrate_task(
    task: str,
    data: str = "phantom",
    *,
    draws: int = 100,
    strength: str = "medium",
    preset: str = "quick",
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("runs"),
    track: Track = silent,
    say: Callable[[str], None] = lambda text: None,
) -> OwnImagesCalibration:
    """Plant copies in a task's own images at known shares and measure them; the detector is the one of its runs.

    Args:
        task: Name of the task.
        data: "phantom" or a folder.
        draws: Draws of each share.
        strength: Of the perturbations: weak, medium or strong.
        preset: The detector's.
        seed: Base seed of the stock and the draws.
        device: "auto", or a torch device.
        out: Folder of all runs, whose stored stages are used.
        track: Shows progress.
        say: Is told one line per stage.

    Raises:
        UsageError: An unknown name or value.
        DataError: The data cannot be used.
    """
    entry, parameters = TASKS.get(task), EmbeddingParameters.preset(preset)
    if strength not in STRENGTHS:
        raise UsageError(f'unknown strength "{strength}"; {suggest(strength, STRENGTHS)}')
    store, clock, device = Store(out / ".stages"), Clock(say), device_of(device)
    with clock("data"):
        splits, _, clock.stored = load_splits(entry, data, None, store=store, track=track)
    with clock("detector"):
        words = json.loads(json.dumps(dataclasses.asdict(parameters)))
        path, clock.stored = fit_detector(splits, words, store=store, device=device, track=track)
    with clock("stock"):
        detector = load_detector(path, words, device=device)
        stock = take_stock(detector, splits, strength=strength, seed=seed, track=track)
    with clock("draws"):
        return calibrate_stock(stock, draws=draws, seed=seed, track=track)
