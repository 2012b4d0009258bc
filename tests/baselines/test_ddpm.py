from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.baselines._nets import to_patches
from memobench.baselines.ddpm import DDPM
from memobench.generator import Context
from memobench.images import Images
from torch import Tensor, nn

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {"patch": (4, 4), "unet_channels": (8, 8), "steps": 4, "batch": (4, 4), "sampling_steps": 10}


def test_the_cosine_schedule_is_that_of_nichol_and_dhariwal() -> None:
    model = DDPM(timesteps=500)
    model._build((16, 16), "cpu", seed=0)
    angles = (np.arange(501) / 500 + 0.008) / 1.008 * np.pi / 2
    wanted = np.cos(angles) ** 2 / np.cos(angles[0]) ** 2
    kept = model.schedule_.alphas_cumprod.numpy()
    np.testing.assert_allclose(kept[:-1], wanted[1:-1], rtol=1e-3)  # the last beta is capped at 0.999
    assert kept[-1] < 1e-5


def test_the_other_schedule_is_linear_in_the_square_root() -> None:
    model = DDPM(timesteps=500, schedule="scaled_linear")
    model._build((16, 16), "cpu", seed=0)
    roots = model.schedule_.betas.sqrt().diff()
    torch.testing.assert_close(roots, roots[:1].expand_as(roots), atol=1e-6, rtol=0)


class KnowsTheImage(nn.Module):
    """The exact prediction where the data are one image, folded into patches."""

    def __init__(self, patches: Tensor) -> None:
        super().__init__()
        self.patches = patches

    def forward(self, noisy: Tensor, times: Tensor) -> Tensor:
        return self.patches.expand_as(noisy)


@pytest.mark.parametrize("shape", [(16, 24), (8, 16, 8)])
def test_the_exact_network_has_no_loss_and_draws_the_image(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    images = make_images(patients=3, shape=shape)
    model = DDPM(**TINY).fit(images, context=Context(seed=0))
    model.unet_ = KnowsTheImage(to_patches(torch.tensor(images.pixels[:1])[:, None] * 2 - 1, 4))
    losses = model.loss(images, seed=0)
    assert losses[0] < 1e-4
    assert losses[1:].min() > 0.01
    np.testing.assert_allclose(model.sample(2, seed=0), images.pixels[[0, 0]], atol=0.01)


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Overfitted to four images, it denoises them better than strangers and draws near-copies of them."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings = {
        "patch": (4, 4),
        "unet_channels": (32, 32),
        "steps": 250,
        "batch": (8, 8),
        "sampling_steps": 10,
        "ema": 0.97,
    }
    model = DDPM(**settings, learning_rate=2e-3).fit(train_images, context=Context(seed=0))
    assert model.loss(train_images, seed=0).mean() < 0.7 * model.loss(others, seed=0).mean()
    samples = model.sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert (to_train < to_others).mean() >= 0.9
