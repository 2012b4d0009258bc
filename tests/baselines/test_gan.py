from __future__ import annotations

import dataclasses
import doctest
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import memobench.training as train
import numpy as np
import pytest
import torch
from memobench.baselines import gan
from memobench.baselines.gan import GAN
from memobench.errors import MemobenchError
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.testing import check_generator
from memobench.training import step_generator
from torch.nn import functional as F

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {"channels": (8, 8), "patch": (4, 4), "noise": 4, "steps": 4, "batch": (4, 4)}
SHAPES = [(32, 32), (16, 16, 16)]


class StoppedError(Exception):
    pass


def same_state(one: GAN, two: GAN) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def test_it_is_registered() -> None:
    assert GENERATORS.get("gan") is GAN


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_contract(shape: tuple[int, ...]) -> None:
    assert "refit forgets" in check_generator(GAN, shape)


@pytest.mark.parametrize("shape", [(37, 50), (15, 18, 33), (8, 8)])
def test_odd_sides_are_padded_and_cropped(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["a", "b", "c"])
    images = Images(rng.random((3, *shape)).astype(np.float32), names, names)
    samples = GAN(**TINY).fit(images, context=Context(seed=0)).sample(2, seed=0)
    assert samples.shape == (2, *shape)
    assert samples.dtype == np.float32
    assert samples.min() >= 0
    assert samples.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_resume_is_bit_for_bit(
    make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    images = make_images(patients=6, shape=shape)
    whole = GAN(**TINY).fit(images, context=Context(seed=1))

    def stop(items: Iterable[int], description: str, total: int | None = None) -> Iterator[int]:
        for done, item in enumerate(items):
            if done == 2:
                raise StoppedError
            yield item

    with pytest.raises(StoppedError):
        GAN(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path, track=stop))
    resumed = GAN(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path))
    assert same_state(whole, resumed)
    for name, losses in whole.history_.items():
        assert np.array_equal(losses, resumed.history_[name])
        assert losses.shape == (4,)


def test_a_checkpoint_of_other_images_is_refused(make_images: MakeImages, tmp_path: Path) -> None:
    context = Context(seed=1, checkpoints=tmp_path)
    GAN(**TINY).fit(make_images(patients=4), context=context)
    with pytest.raises(MemobenchError, match=r"networks\.safetensors is of another training; delete it"):
        GAN(**TINY).fit(make_images(patients=4, seed=1), context=context)


def test_another_fitting_seed_gives_another_model(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    one, two = (GAN(**TINY).fit(images, context=Context(seed=seed)) for seed in (0, 1))
    assert not same_state(one, two)


def test_augmentation_and_width_change_the_model(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    plain = GAN(**TINY).fit(images, context=Context(seed=0))
    assert not same_state(plain, GAN(**TINY, augment="study").fit(images, context=Context(seed=0)))
    wide = GAN(**TINY, width="large").fit(images, context=Context(seed=0))
    assert sum(array.size for array in wide.state().values()) > 1.5 * sum(a.size for a in plain.state().values())


def test_samples_do_not_depend_on_how_many_are_drawn(make_images: MakeImages) -> None:
    model = GAN(**TINY).fit(make_images(patients=4), context=Context(seed=0))
    many = model.sample(9, seed=7)  # three batches
    np.testing.assert_allclose(model.sample(5, seed=7), many[:5], atol=1e-5)
    assert model.sample(0, seed=7).shape == (0, 32, 32)
    assert len(np.unique(many.reshape(9, -1), axis=0)) == 9


def test_state_and_fields_are_all_there_is(make_images: MakeImages) -> None:
    images = make_images(patients=4, shape=(16, 16, 16))
    model = GAN(**TINY).fit(images, context=Context(seed=0))
    state = model.state()
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in state.values())
    assert state["shape"].tolist() == [16, 16, 16]
    restored = GAN(**dataclasses.asdict(model)).restore(state)
    assert np.array_equal(model.sample(3, seed=2), restored.sample(3, seed=2))
    assert np.array_equal(model.loss(images, seed=2), restored.loss(images, seed=2))
    with pytest.raises(MemobenchError, match="not of this gan"):
        GAN(**{**TINY, "channels": (16, 16)}).restore(state)
    del state["shape"]
    with pytest.raises(MemobenchError, match="shape"):
        GAN(**TINY).restore(state)


def test_no_images_are_an_error(make_images: MakeImages) -> None:
    nobody = make_images(patients=2).take(np.array([], dtype=np.int64))
    with pytest.raises(MemobenchError, match="no images to fit"):
        GAN(**TINY).fit(nobody, context=Context(seed=0))


def test_an_unfitted_model_says_so(make_images: MakeImages) -> None:
    for call in (lambda: GAN().sample(1, seed=0), lambda: GAN().state(), lambda: GAN().loss(make_images(), seed=0)):
        with pytest.raises(MemobenchError, match="call fit or restore first"):
            call()


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


def test_loss_is_per_image(make_images: MakeImages) -> None:
    images = make_images(patients=7)
    model = GAN(**TINY).fit(images, context=Context(seed=0))
    losses = model.loss(images, seed=0)
    assert losses.shape == (7,)
    assert losses.dtype == np.float32
    assert len(np.unique(losses)) == 7
    np.testing.assert_allclose(model.loss(images.take(np.array([5, 2])), seed=0), losses[[5, 2]], rtol=1e-3, atol=1e-5)
    assert len(model.loss(images.take(np.array([], dtype=np.int64)), seed=0)) == 0
    with pytest.raises(MemobenchError, match="shape"):
        model.loss(make_images(patients=2, shape=(16, 16)), seed=0)


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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("noise", 0),
        ("channels", ()),
        ("channels", (32, 0)),
        ("width", "huge"),
        ("augment", "some"),
        ("patch", (2,)),
        ("patch", (3, 4)),
        ("batch", (8,)),
        ("levels", (4,)),
        ("levels", (0, 3)),
        ("gamma", -1.0),
        ("gamma_last", -1.0),
    ],
)
def test_impossible_settings_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        GAN(**{field: value})


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("preset", GAN.PRESETS)
def test_every_preset_makes_its_networks(preset: str, dimensions: int) -> None:
    model = GAN(**GAN.PRESETS[preset])
    with torch.device("meta"):
        model._build((64,) * dimensions, "meta", seed=0)
    assert sum(parameter.numel() for parameter in model.generator_.parameters()) > 0
