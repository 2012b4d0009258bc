from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import memobench.training as train
import numpy as np
import pytest
import torch
from memobench.baselines.vae import VAE
from memobench.errors import MemobenchError
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.testing import check_generator
from torch import Tensor
from torch.distributions import Normal, kl_divergence

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {"channels": (8, 8), "latent": 4, "steps": 4, "batch": (4, 4)}
SHAPES = [(32, 32), (16, 16, 16)]


class StoppedError(Exception):
    pass


def same_state(one: VAE, two: VAE) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def test_it_is_registered() -> None:
    assert GENERATORS.get("vae") is VAE


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_contract(shape: tuple[int, ...]) -> None:
    assert "refit forgets" in check_generator(VAE, shape)


@pytest.mark.parametrize("shape", [(37, 50), (15, 18, 33), (8, 8)])
def test_odd_sides_are_padded_and_cropped(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["a", "b", "c"])
    images = Images(rng.random((3, *shape)).astype(np.float32), names, names)
    samples = VAE(**TINY).fit(images, context=Context(seed=0)).sample(2, seed=0)
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
    whole = VAE(**TINY).fit(images, context=Context(seed=1))

    def stop(items: Iterable[int], description: str, total: int | None = None) -> Iterator[int]:
        for done, item in enumerate(items):
            if done == 2:
                raise StoppedError
            yield item

    with pytest.raises(StoppedError):
        VAE(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path, track=stop))
    resumed = VAE(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path))
    assert same_state(whole, resumed)
    for name, losses in whole.history_.items():
        assert np.array_equal(losses, resumed.history_[name])
        assert losses.shape == (4,)


def test_a_checkpoint_of_other_images_is_refused(make_images: MakeImages, tmp_path: Path) -> None:
    context = Context(seed=1, checkpoints=tmp_path)
    VAE(**TINY).fit(make_images(patients=4), context=context)
    with pytest.raises(MemobenchError, match=r"autoencoder\.safetensors is of another training; delete it"):
        VAE(**TINY).fit(make_images(patients=4, seed=1), context=context)


def test_another_fitting_seed_gives_another_model(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    one, two = (VAE(**TINY).fit(images, context=Context(seed=seed)) for seed in (0, 1))
    assert not same_state(one, two)


def test_augmentation_and_width_change_the_model(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    plain = VAE(**TINY).fit(images, context=Context(seed=0))
    assert not same_state(plain, VAE(**TINY, augment="study").fit(images, context=Context(seed=0)))
    wide = VAE(**TINY, width="large").fit(images, context=Context(seed=0))
    assert sum(array.size for array in wide.state().values()) > 1.5 * sum(a.size for a in plain.state().values())


def test_samples_do_not_depend_on_how_many_are_drawn(make_images: MakeImages) -> None:
    model = VAE(**TINY).fit(make_images(patients=4), context=Context(seed=0))
    many = model.sample(9, seed=7)  # three batches
    np.testing.assert_allclose(model.sample(5, seed=7), many[:5], atol=1e-5)
    assert model.sample(0, seed=7).shape == (0, 32, 32)
    assert len(np.unique(many.reshape(9, -1), axis=0)) == 9


def test_state_and_fields_are_all_there_is(make_images: MakeImages) -> None:
    images = make_images(patients=4, shape=(16, 16, 16))
    model = VAE(**TINY).fit(images, context=Context(seed=0))
    state = model.state()
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in state.values())
    assert state["shape"].tolist() == [16, 16, 16]
    restored = VAE(**dataclasses.asdict(model)).restore(state)
    assert np.array_equal(model.sample(3, seed=2), restored.sample(3, seed=2))
    assert np.array_equal(model.loss(images, seed=2), restored.loss(images, seed=2))
    with pytest.raises(MemobenchError, match="not of this vae"):
        VAE(**{**TINY, "channels": (16, 16)}).restore(state)
    del state["latent.mean"]
    with pytest.raises(MemobenchError, match=r"latent\.mean"):
        VAE(**TINY).restore(state)


def test_no_images_are_an_error(make_images: MakeImages) -> None:
    nobody = make_images(patients=2).take(np.array([], dtype=np.int64))
    with pytest.raises(MemobenchError, match="no images to fit"):
        VAE(**TINY).fit(nobody, context=Context(seed=0))


def test_an_unfitted_model_says_so(make_images: MakeImages) -> None:
    for call in (lambda: VAE().sample(1, seed=0), lambda: VAE().state(), lambda: VAE().loss(make_images(), seed=0)):
        with pytest.raises(MemobenchError, match="call fit or restore first"):
            call()


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
    torch.testing.assert_close(model.mean_, drawn.mean(dim=0), atol=apart, rtol=0)
    torch.testing.assert_close(model.factor_ @ model.factor_.T, torch.cov(drawn.T), atol=apart, rtol=0)


def test_loss_is_per_image_and_seeded(make_images: MakeImages) -> None:
    images = make_images(patients=7)
    model = VAE(**TINY).fit(images, context=Context(seed=0))
    before = torch.random.get_rng_state()
    losses = model.loss(images, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert losses.shape == (7,)
    assert np.isfinite(losses).all()
    assert np.array_equal(losses, model.loss(images, seed=0))
    assert not np.array_equal(losses, model.loss(images, seed=1))
    np.testing.assert_allclose(model.loss(images.take(np.array([5, 2])), seed=0), losses[[5, 2]], rtol=1e-4)
    assert len(model.loss(images.take(np.array([], dtype=np.int64)), seed=0)) == 0
    with pytest.raises(MemobenchError, match="shape"):
        model.loss(make_images(patients=2, shape=(16, 16)), seed=0)


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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("latent", 0),
        ("channels", ()),
        ("channels", (32,)),
        ("width", "huge"),
        ("augment", "some"),
        ("patch", (2,)),
        ("batch", (8,)),
        ("sd", 0.0),
        ("beta", -1.0),
    ],
)
def test_impossible_settings_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        VAE(**{field: value})


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("preset", VAE.PRESETS)
def test_every_preset_makes_its_network(preset: str, dimensions: int) -> None:
    model = VAE(**VAE.PRESETS[preset])
    with torch.device("meta"):
        model._build((64,) * dimensions, "meta", seed=0)
    assert sum(parameter.numel() for parameter in model.net_.parameters()) > 0
