from __future__ import annotations

import doctest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.baselines import gan
from memobench.baselines.gan import GAN
from memobench.generator import Context
from memobench.images import Images
from memobench.training.loop import step_generator
from torch.nn import functional as F

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {"channels": (8, 8), "patch": (4, 4), "noise": 4, "steps": 4, "batch": (4, 4)}
SHAPES = [(32, 32), (16, 16, 16)]


def same_state(one: GAN, two: GAN) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def test_the_examples_hold() -> None:
    failed, tried = doctest.testmod(gan)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diff_augment", [False, True])
def test_one_scalar_holds_the_gradients_of_both_players(
    make_images: MakeImages, shape: tuple[int, ...], diff_augment: bool
) -> None:
    """Against the losses of the paper, written down one by one and differentiated for one player at a time."""
    images = make_images(patients=4, shape=shape)
    model = GAN(**TINY, diff_augment=diff_augment).fit(images, context=Context(seed=0))
    g, d = model.generator_.requires_grad_(), model.discriminator_.requires_grad_()
    g.zero_grad()
    d.zero_grad()
    real = torch.tensor(images.pixels)[:, None] * 2 - 1
    noise = torch.randn(4, 4, generator=step_generator(0, "noise"))

    def seen(real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.cat([real, fake])
        if diff_augment:
            both = gan.diff_augmented(both, step_generator(0, "augment"))
        return d(both[:4]), d(both[4:])

    value = model._game(real, noise, 0.7, step_generator(0, "augment"))
    value.backward()  # type: ignore[no-untyped-call]

    real.requires_grad_()
    fake = g(noise).detach().requires_grad_()
    on_real, on_fake = seen(real, fake)
    r1 = torch.autograd.grad(on_real.sum(), real, create_graph=True)[0].pow(2).sum() / 4
    r2 = torch.autograd.grad(on_fake.sum(), fake, create_graph=True)[0].pow(2).sum() / 4
    judge_loss = F.softplus(on_fake - on_real).mean() + 0.7 / 2 * (r1 + r2)
    torch.testing.assert_close(value, judge_loss)
    assert r1 > 0
    assert r2 > 0
    on_real, on_fake = seen(real.detach(), g(noise))
    made_loss = F.softplus(on_real - on_fake).mean()
    for net, loss in ((d, judge_loss), (g, made_loss)):
        wanted = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(net.parameters(), wanted, strict=True):
            gradient = torch.zeros_like(parameter) if gradient is None else gradient
            held = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(held, gradient, rtol=1e-3, atol=1e-6)


def test_only_the_coarsest_levels_are_used() -> None:
    model = GAN(channels=(8, 12, 16), levels=(3, 2), patch=(2, 2))
    for shape, wanted, basis in (((32, 32), (8, 12, 16), (16, 4, 4)), ((8, 8, 8), (12, 16), (16, 2, 2, 2))):
        model._build(shape, "cpu", seed=0)
        assert model._channels() == wanted
        assert model.generator_.basis.shape == basis


def test_the_penalty_falls_along_half_a_cosine_and_grows_with_the_image() -> None:
    model = GAN(steps=100, accumulate=2, gamma=1.0, gamma_last=0.2)
    for shape, size in (((64, 64), 1.0), ((32, 32, 32), 8.0)):
        model._build(shape, "cpu", seed=0)
        np.testing.assert_allclose([model._penalty(k) / size for k in (0, 100, 200)], [1.0, 0.6, 0.2])


def test_differentiable_augmentation_is_a_switch(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    one, two = (GAN(**TINY, diff_augment=on).fit(images, context=Context(seed=0)) for on in (True, False))
    assert not same_state(one, two)


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Trained on four images without differentiable augmentation, it draws images like them and unlike strangers."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings: dict[str, Any] = {**TINY, "channels": (32,), "steps": 250, "batch": (8, 8), "learning_rate": 3e-3}
    model = GAN(**settings, gamma=1.6, gamma_last=1.6, diff_augment=False, ema=0.95)
    samples = model.fit(train_images, context=Context(seed=0)).sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert to_train.mean() < 0.85 * to_others.mean()
    assert model.loss(train_images, seed=0).mean() < model.loss(others, seed=0).mean()
