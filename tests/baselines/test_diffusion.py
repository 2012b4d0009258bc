from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from memobench.baselines._diffusion import (
    MOST_WEIGHT,
    even_shares,
    follow_flow,
    image_errors,
    loss_steps,
    mean_errors,
    objective,
    step_times,
)
from memobench.baselines.ldm import velocity_errors
from memobench.training.loop import step_generator
from torch import Tensor, nn

SETTINGS = {"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


class KnowsTheImage(nn.Module):
    """The exact velocity where the data are one image: from x = a image + s noise, v = a noise - s image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image
        self.keep = DDPMScheduler(**SETTINGS).alphas_cumprod

    def forward(self, noisy: Tensor, times: Tensor) -> Tensor:
        a, s = (part[times].reshape(-1, *[1] * (noisy.ndim - 1)) for part in (self.keep.sqrt(), (1 - self.keep).sqrt()))
        return a * (noisy - a * self.image) / s - s * self.image


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 3, 4, 4)])
def test_the_exact_velocity_has_no_error_and_leads_to_the_image(shape: tuple[int, ...]) -> None:
    image = torch.randn(shape, generator=step_generator(0, "image"))
    net, schedule = KnowsTheImage(image), DDPMScheduler(**SETTINGS)
    noise = torch.randn(5, *shape, generator=step_generator(0, "noise"))
    errors = velocity_errors(net, schedule, image.expand(5, *shape), noise, torch.tensor([0, 20, 50, 80, 99]))
    assert errors.shape == (5,)
    assert errors.max() < 1e-4
    assert velocity_errors(net, schedule, -image.expand(5, *shape), noise, torch.full((5,), 50)).min() > 0.1
    made = follow_flow(net, noise, SETTINGS, steps=10)
    torch.testing.assert_close(made, image.expand(5, *shape), atol=1e-2, rtol=0)


def test_the_error_of_an_image_is_that_of_its_velocity_where_noise_is_strong() -> None:
    generator = step_generator(0, "image")
    clean, noise, wrong = torch.randn(3, 6, 2, 4, 4, generator=generator)
    schedule, times = DDPMScheduler(**SETTINGS), torch.tensor([1, 10, 30, 50, 70, 98])

    class Wrong(nn.Module):
        def __init__(self, velocity: bool) -> None:
            super().__init__()
            self.velocity = velocity

        def forward(self, noisy: Tensor, times: Tensor) -> Tensor:
            keep = schedule.alphas_cumprod[times].reshape(-1, 1, 1, 1)
            return (keep.sqrt() * noisy - wrong) / (1 - keep).sqrt() if self.velocity else wrong

    image = image_errors(Wrong(velocity=False), schedule, clean, noise, times)
    velocity = velocity_errors(Wrong(velocity=True), schedule, clean, noise, times)
    strong = 1 / (1 - schedule.alphas_cumprod[times]) < MOST_WEIGHT
    assert strong.tolist() == [False, False, True, True, True, True]
    torch.testing.assert_close(image[strong], velocity[strong], rtol=1e-3, atol=1e-5)
    assert (image[~strong] < velocity[~strong]).all()


def test_shares_are_even_and_their_order_is_random() -> None:
    shares = torch.stack([even_shares(8, step_generator(0, "shares", k)) for k in range(50)])
    assert torch.equal((shares * 8).long().sort(dim=1).values, torch.arange(8).expand(50, 8))
    assert len(shares[:, 0].unique()) == 50
    assert abs(np.corrcoef(shares[:, 0], shares[:, 1])[0, 1]) < 0.5


def test_times_reach_both_ends() -> None:
    assert step_times(torch.tensor([0.0, 0.5, 1.0]), 1000).tolist() == [0, 500, 999]
    steps = loss_steps(1000)
    assert steps == sorted(set(steps))
    assert steps[0] > 0
    assert steps[-1] < 999


def test_the_objective_is_a_function_of_the_step() -> None:
    clean = torch.arange(6.0).reshape(6, 1)
    seen = []

    def errors(images: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        seen.append((images, noise, times))
        return (images - noise)[:, 0] ** 2 + times

    loss = objective(errors, lambda k: clean[k : k + 3], lambda shares: 10 * shares, seed=0)
    assert loss(2) == loss(2)
    assert loss(2) != loss(3)
    images, noise, times = seen[0]
    assert torch.equal(images, clean[2:5])
    assert not torch.equal(noise[0], noise[1])
    assert loss(2) == ((images - noise)[:, 0] ** 2 + times).mean()


def test_every_image_is_judged_with_the_same_noise() -> None:
    clean = torch.randn(7, 2, 3, generator=step_generator(0, "clean"))

    def errors(images: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return ((images - noise) ** 2).flatten(1).mean(dim=1) * times

    whole = mean_errors(errors, clean, [1, 2], batch=7, seed=0)
    parts = mean_errors(errors, clean, [1, 2], batch=2, seed=0)
    torch.testing.assert_close(whole, parts)
    same = mean_errors(errors, clean[:1].expand(7, 2, 3), [1, 2], batch=3, seed=0)
    assert (same == same[0]).all()
    assert not torch.equal(whole, mean_errors(errors, clean, [1, 2], batch=7, seed=1))
    one, two = (mean_errors(errors, clean, [time], batch=7, seed=0) for time in (1, 2))
    torch.testing.assert_close(whole, (one + two) / 2)
