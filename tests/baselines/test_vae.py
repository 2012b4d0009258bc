from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.baselines.vae import VAE
from memobench.generator import Context
from memobench.images import Images
from torch import Tensor
from torch.distributions import Normal, kl_divergence

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {"channels": (8, 8), "latent": 4, "steps": 4, "batch": (4, 4)}


def test_the_bound_equals_that_of_torch_distributions(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    model = VAE(**TINY, beta=3.0, sd=0.2).fit(images, context=Context(seed=0))
    real = torch.tensor(images.pixels)[:, None] * 2 - 1
    noise = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    mean, log_variance = model.net_.encode_forward(patches(real))  # type: ignore[operator]
    posterior = Normal(mean, torch.exp(0.5 * log_variance))
    made = (model._decode(posterior.loc + posterior.scale * noise) + 1) / 2
    evidence = Normal(made, 0.2).log_prob((real + 1) / 2).flatten(1).sum(dim=1)
    wanted = 3.0 * kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1) - evidence
    torch.testing.assert_close(model._negative_elbo(real, noise), wanted, rtol=1e-4, atol=1e-2)


def patches(images: Tensor) -> Tensor:
    """Images (B, 1, 2 H, 2 W) as (B, 4, H, W)."""
    return torch.cat([images[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], dim=1)


@pytest.mark.parametrize("augment", ["none", "study"])
def test_latents_are_drawn_like_the_mixture_of_posteriors(make_images: MakeImages, augment: str) -> None:
    model = VAE(**TINY, augment=augment).fit(make_images(patients=20), context=Context(seed=0))
    pixels = torch.tensor(make_images(patients=20).pixels)[:, None] * 2 - 1
    mean, log_variance = model._encode(pixels)
    noise = torch.randn(4000, 20, 4, generator=torch.Generator().manual_seed(0))
    drawn = (mean + torch.exp(0.5 * log_variance) * noise).reshape(-1, 4)
    apart = 0.02 if augment == "none" else 0.2  # the views of an augmented image are not the image
    torch.testing.assert_close(model.latents_.mean, drawn.mean(dim=0), atol=apart, rtol=0)
    torch.testing.assert_close(model.latents_.factor @ model.latents_.factor.T, torch.cov(drawn.T), atol=apart, rtol=0)


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Overfitted to four images, it bounds their likelihood better than that of strangers and draws near them."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings: dict[str, Any] = {**TINY, "channels": (16, 32), "steps": 200, "batch": (8, 8), "learning_rate": 5e-3}
    model = VAE(**settings, ema=0.98).fit(train_images, context=Context(seed=0))
    assert model.loss(train_images, seed=0).max() < model.loss(others, seed=0).min()
    samples = model.sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert (to_train < to_others).mean() >= 0.9
