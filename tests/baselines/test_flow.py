from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.baselines.flow import Flow, integrate, logit_normal
from memobench.baselines.ldm import LDM
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import step_generator
from scipy import special, stats
from torch import Tensor, nn

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


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-0.5, 1.7)])
def test_times_are_logit_normal(mean: float, sd: float) -> None:
    shares = np.linspace(0.001, 0.999, 500)
    times = logit_normal(torch.tensor(shares, dtype=torch.float32), mean, sd).numpy()
    np.testing.assert_allclose(times, special.expit(mean + sd * stats.norm.ppf(shares)), rtol=1e-4)
    ends = logit_normal(torch.tensor([0.0, 1.0]), mean, sd)
    assert 0 < ends[0] < ends[1] < 1


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_straight_path_takes_one_step(solver: str) -> None:
    start = torch.randn(3, 2, generator=step_generator(0, "start"))
    end = torch.randn(3, 2, generator=step_generator(0, "end"))
    for steps in (1, 4):
        torch.testing.assert_close(integrate(lambda x, t: end - start, start, steps, solver), end)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_error_falls_as_the_solvers_order_says(solver: str, order: int) -> None:
    start = torch.ones(1, dtype=torch.float64)
    errors = [abs(integrate(lambda x, t: x * t, start, steps, solver).item() - np.exp(0.5)) for steps in (40, 80)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


def test_the_exact_velocity_carries_noise_to_the_data() -> None:
    """For data N(m, s^2), E[data - noise | x_t] is known in closed form."""
    m, s = 3.0, 0.5

    def velocity(x: Tensor, times: Tensor) -> Tensor:
        t = times[:, None]
        return m + (t * s**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * s**2) * (x - t * m)

    noise = torch.randn(4000, 1, generator=step_generator(0, "noise"))
    made = integrate(velocity, noise, 100, "heun")
    torch.testing.assert_close(made, m + s * noise, atol=0.02, rtol=0)  # in one dimension the flow keeps the order


class KnowsTheLatent(nn.Module):
    """The exact velocity where all latents are one: (latent - x) / (1 - t), t told as the time 1000 (1 - t)."""

    def __init__(self, latent: Tensor) -> None:
        super().__init__()
        self.latent = latent

    def forward(self, mixed: Tensor, times: Tensor) -> Tensor:
        return (self.latent - mixed) / (times / 1000).clamp(min=1e-6).reshape(-1, *[1] * (mixed.ndim - 1))


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_training_and_sampling_mean_the_same_velocity(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    model = Flow(**TINY).fit(make_images(patients=4, shape=shape), context=Context(seed=0))
    latent = torch.randn(model.first_stage_.latent_shape, generator=step_generator(0, "latent"))
    model.unet_ = KnowsTheLatent(latent)
    noise = torch.randn(5, *latent.shape, generator=step_generator(0, "noise"))
    times = torch.tensor([0.05, 0.3, 0.5, 0.7, 0.95])
    assert model._errors(latent.expand_as(noise), noise, times).max() < 1e-6
    assert model._errors(-latent.expand_as(noise), noise, times).min() > 0.1
    made = integrate(model._velocity, noise, model.sampling_steps, model.solver)
    torch.testing.assert_close(made, latent.expand_as(noise), atol=1e-4, rtol=0)


def test_the_first_stage_is_that_of_ldm(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    flow, ldm = (kind(**TINY).fit(images, context=Context(seed=0)).state() for kind in (Flow, LDM))
    assert flow.keys() == ldm.keys()
    for key in flow:
        assert np.array_equal(flow[key], ldm[key]) or key.startswith("unet.")
    assert any(not np.array_equal(flow[key], ldm[key]) for key in flow)


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Overfitted to four images, it restores them better than strangers and draws near-copies of them."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings: dict[str, Any] = {
        **TINY, "downsampling": (4, 4), "patch": (4, 4), "channels": (32,), "autoencoder_steps": 100,
        "unet_channels": (32, 32), "steps": 150, "batch": (4, 4), "sampling_steps": 6, "ema": 0.95,
        "learning_rate": 2e-3,
    }  # fmt: skip
    model = Flow(**settings).fit(train_images, context=Context(seed=0))
    assert model.loss(train_images, seed=0).mean() < 0.7 * model.loss(others, seed=0).mean()
    samples = model.sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert (to_train < to_others).mean() >= 0.9
