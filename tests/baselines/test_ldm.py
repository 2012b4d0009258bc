from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.baselines.ldm import LDM
from memobench.generator import Context
from memobench.images import Images

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {
    "channels": (8, 8),
    "autoencoder_steps": 4,
    "autoencoder_batch": (4, 4),
    "unet_channels": (8, 8),
    "steps": 4,
    "batch": (4, 4),
    "sampling_steps": 3,
}


@pytest.mark.parametrize("module", ["_first_stage", "_fields", "_diffusion", "_nets", "_augment", "_device"])
def test_the_examples_hold(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"memobench.baselines.{module}"))
    assert tried > 0
    assert failed == 0


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Overfitted to four images, it denoises them better than strangers and draws near-copies of them."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings: dict[str, Any] = {
        **TINY, "downsampling": (4, 4), "patch": (4, 4), "channels": (32,), "autoencoder_steps": 150,
        "unet_channels": (32, 32), "steps": 250, "batch": (8, 8), "sampling_steps": 10, "ema": 0.98,
        "learning_rate": 2e-3,
    }  # fmt: skip
    model = LDM(**settings).fit(train_images, context=Context(seed=0))
    assert model.loss(train_images, seed=0).mean() < 0.7 * model.loss(others, seed=0).mean()
    samples = model.sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert (to_train < to_others).mean() >= 0.9


@pytest.mark.kits
def test_radiographs_are_recognisable(kits: Path) -> None:
    """The smoke preset on real radiographs: better than a grey image, in range, and deterministic."""
    from PIL import Image

    files = sorted((kits / "xray").rglob("*.png"))[:24]
    pixels = [np.asarray(Image.open(file).convert("L").resize((64, 64)), dtype=np.float32) / 255 for file in files]
    names = np.array([file.stem for file in files])
    images = Images(np.stack(pixels), names, names)
    model = LDM(**LDM.PRESETS["smoke"]).fit(images, context=Context(seed=0))
    samples = model.sample(4, seed=0)
    assert np.corrcoef(samples.mean(axis=0).ravel(), images.pixels.mean(axis=0).ravel())[0, 1] > 0.5
