"""The stages of a run in which the generator works: fit and sample, in one process or in several together.

Of several processes the main one keeps the store and tells the others, which see the same folders, what it does:
:func:`fit_generator` and :func:`draw_samples` are its side, :func:`join_fit` and :func:`join_samples` theirs.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memobench.base.cost import LOSSES, NO_TENSORBOARD, Trained, forget_peak, has_tensorboard, losses_csv, peak_memory
from memobench.base.errors import MemobenchError
from memobench.base.place import Place
from memobench.base.seeds import derive_seed
from memobench.base.store import load_arrays, save_arrays, write_json
from memobench.generator import Context, Generator
from memobench.results import Identity, NetworkCost, TrainingCost
from memobench.task import Splits
from memobench.training import acceleration
from memobench.training.processes import broadcast, current, process_group


def fit_generator(identity: Identity, generator: Generator, splits: Splits, place: Place) -> tuple[Path, bool]:
    """The generator, fitted to train: ``state.safetensors``.

    Beside it lie ``training.json`` (a :class:`memobench.results.TrainingCost` and the generator's notes),
    ``losses.csv`` and ``log``, which TensorBoard reads; while the fit goes on, the log lies in the stage's
    ``.scratch`` folder.
    """
    key, device = _fit_key(identity), place.device

    def write(into: Path, scratch: Path) -> None:
        broadcast(scratch)
        trained: list[Trained] = []
        context = _fit_context(identity, generator, splits, scratch, device)
        context = dataclasses.replace(context, track=place.track, log=scratch / "log", report=trained.append)
        forget_peak(device)
        generator.fit(splits.train, context=context)
        save_arrays(into / "state.safetensors", generator.state())
        cost = training_cost(trained, device)
        write_json(into / "training.json", {"cost": cost.model_dump(mode="json"), "notes": generator.notes()})
        (into / LOSSES).write_text(losses_csv(trained), encoding="utf-8")
        if (scratch / "log").exists():
            shutil.copytree(scratch / "log", into / "log")
        if trained and not has_tensorboard():
            place.say(NO_TENSORBOARD)

    with process_group(device):
        path, stored = place.store.get("fit", key, write)
        if stored:
            broadcast(None)
    return path, stored


def join_fit(identity: Identity, generator: Generator, splits: Splits, *, device: str) -> None:
    """Take part in :func:`fit_generator` of the main process, unless its fit is stored."""
    with process_group(device):
        scratch: Path | None = broadcast(None)
        if scratch is not None:
            generator.fit(splits.train, context=_fit_context(identity, generator, splits, scratch, device))


def draw_samples(identity: Identity, generator: Generator, fit_path: Path, place: Place) -> tuple[Path, bool]:
    """The samples, (N, *S) in ``samples.npz``, checked for shape, type and range."""
    key = {**_fit_key(identity), "samples": identity.samples}

    def write(into: Path, scratch: Path) -> None:
        broadcast(fit_path)
        pixels = _sample(identity, generator, fit_path, place.device)
        wanted = (identity.samples, *identity.shape)
        if pixels.shape != wanted or pixels.dtype != np.float32:
            raise MemobenchError(
                f'model "{identity.model}" sampled {pixels.dtype} of shape {pixels.shape}, not float32 of shape '
                f"{wanted}; see bench check {identity.model}"
            )
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN fails too
            raise MemobenchError(
                f'model "{identity.model}" sampled values from {pixels.min()} to {pixels.max()}, not [0, 1] '
                f"(a diverged fit?); see bench check {identity.model}"
            )
        np.savez_compressed(into / "samples.npz", samples=pixels)

    with process_group(place.device):
        path, stored = place.store.get("sample", key, write)
        if stored:
            broadcast(None)
    return path, stored


def join_samples(identity: Identity, generator: Generator, *, device: str) -> None:
    """Take part in :func:`draw_samples` of the main process, unless its samples are stored."""
    with process_group(device):
        fit_path: Path | None = broadcast(None)
        if fit_path is not None:
            _sample(identity, generator, fit_path, device)


def training_cost(trained: list[Trained], device: str) -> TrainingCost:
    """What a fit that has just ended cost."""
    peak, whose = peak_memory(device)
    chosen = acceleration.current()
    networks = {
        one.name: NetworkCost(
            steps=len(one.losses),
            images=one.images,
            seconds=round(one.seconds, 3),
            images_per_second=float(f"{one.images_per_second:.4g}"),
        )
        for one in trained
    }
    return TrainingCost(
        networks=networks,
        peak_memory=peak,
        peak_memory_of=whose,
        processes=current().count,
        precision="bfloat16" if chosen.bfloat16(device.partition(":")[0]) else "float32",
        compiled=chosen.compile,
    )


def _fit_key(identity: Identity) -> dict[str, Any]:
    names = ("task", "split_digest", "model", "parameters", "generator_code", "seed", "shape", "origin")
    return {name: value for name, value in identity.model_dump(mode="json").items() if name in names}


def _fit_context(identity: Identity, generator: Generator, splits: Splits, scratch: Path, device: str) -> Context:
    fresh = splits.fresh if generator.NEEDS_FRESH else None
    seed = derive_seed(identity.seed, "fit", identity.task, identity.model)
    return Context(seed, device, checkpoints=scratch, fresh=fresh)


def _sample(identity: Identity, generator: Generator, fit_path: Path, device: str) -> NDArray[np.float32]:
    generator.restore(load_arrays(fit_path / "state.safetensors"), device=device)
    return generator.sample(identity.samples, seed=derive_seed(identity.seed, "sample", identity.task, identity.model))
