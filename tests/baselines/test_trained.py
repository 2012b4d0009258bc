"""What holds for every model that is trained by our loop, whatever it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import memobench.training.loop as train
import numpy as np
import pytest
import torch
from memobench.base.errors import MemobenchError
from memobench.baselines.ddpm import DDPM
from memobench.baselines.flow import Flow
from memobench.baselines.gan import GAN
from memobench.baselines.ldm import LDM
from memobench.baselines.vae import VAE
from memobench.baselines.vqgan import VQGAN
from memobench.generator import GENERATORS, Context
from memobench.images import Images

MakeImages = Callable[..., Images]
TINY_FIRST: dict[str, Any] = {
    "channels": (8, 8),
    "autoencoder_steps": 4,
    "autoencoder_batch": (4, 4),
    "steps": 4,
    "batch": (4, 4),
}
GAME: dict[str, Any] = {"adversarial_steps": 4, "discriminator_channels": 4}
TINY: dict[str, tuple[Any, dict[str, Any]]] = {
    "ldm": (LDM, {**TINY_FIRST, **GAME, "unet_channels": (8, 8), "sampling_steps": 3}),
    "vae": (VAE, {"channels": (8, 8), "latent": 4, "steps": 4, "batch": (4, 4)}),
    "gan": (GAN, {"channels": (8, 8), "patch": (4, 4), "noise": 4, "steps": 4, "batch": (4, 4)}),
    "ddpm": (DDPM, {"unet_channels": (8, 8), "steps": 4, "batch": (4, 4), "sampling_steps": 3}),
    "flow": (Flow, {**TINY_FIRST, "unet_channels": (8, 8), "sampling_steps": 3}),
    "vqgan": (VQGAN, {**TINY_FIRST, "codes": 16, "features": 16, "heads": 2, "layers": 1, "sampling_batch": 4}),
}
STAGES = {
    "ldm": ["autoencoder", "adversarial", "diffusion model"],
    "vae": ["autoencoder"],
    "gan": ["networks"],
    "ddpm": ["ddpm"],
    "flow": ["autoencoder", "rectified flow"],
    "vqgan": ["autoencoder", "transformer"],
}
SEEDED = {"ldm", "vae", "ddpm", "flow"}  # whose loss is of noise drawn by its seed; that of the others is exact
POSITIVE = {"ldm", "ddpm", "flow", "vqgan"}  # squared errors and the code lengths of discrete codes
SHAPES = [(32, 32), (16, 16, 16)]
each_model = pytest.mark.parametrize("name", TINY)


class StoppedError(Exception):
    pass


def tiny(name: str, **settings: Any) -> Any:
    kind, values = TINY[name]
    return kind(**{**values, **settings})


def same_state(one: Any, two: Any) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def parameters_of(model: Any) -> int:
    """The parameters of all networks of a model."""
    return sum(parameter.numel() for net in model.networks_.values() for parameter in net.parameters())


@each_model
def test_it_is_the_registered_one_whose_contract_is_checked(name: str) -> None:
    assert GENERATORS.get(name) is TINY[name][0]  # tests/test_check.py proves every registered one


@each_model
@pytest.mark.parametrize("shape", [(37, 50), (15, 18, 33), (8, 8)])
def test_odd_sides_are_padded_and_cropped(name: str, shape: tuple[int, ...]) -> None:
    names = np.array(["a", "b", "c"])
    images = Images(np.random.default_rng(0).random((3, *shape)).astype(np.float32), names, names)
    model = tiny(name, augment="strong").fit(images, context=Context(seed=0))
    samples = model.sample(2, seed=0)
    assert samples.shape == (2, *shape)
    assert samples.dtype == np.float32
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert model.loss(images, seed=0).shape == (3,)


@each_model
@pytest.mark.parametrize("shape", SHAPES)
def test_resume_is_bit_for_bit(
    name: str, make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    images = make_images(patients=6, shape=shape)
    whole = tiny(name).fit(images, context=Context(seed=1))

    def stop_in(stage: str) -> Any:
        def track(items: Iterable[int], description: str, total: int | None = None) -> Iterator[int]:
            for done, item in enumerate(items):
                if done == 2 and stage in description:
                    raise StoppedError
                yield item

        return track

    for stage in STAGES[name]:
        with pytest.raises(StoppedError):
            tiny(name).fit(images, context=Context(seed=1, checkpoints=tmp_path, track=stop_in(stage)))
    resumed = tiny(name).fit(images, context=Context(seed=1, checkpoints=tmp_path))
    assert same_state(whole, resumed)
    assert list(whole.history_) == STAGES[name]
    for stage, losses in whole.history_.items():
        assert np.array_equal(losses, resumed.history_[stage])
        assert losses.shape == (4,)
    with pytest.raises(MemobenchError, match="is of another training; delete it"):
        tiny(name).fit(make_images(patients=6, shape=shape, seed=1), context=Context(seed=1, checkpoints=tmp_path))


@each_model
def test_samples_do_not_depend_on_how_many_are_drawn(name: str, make_images: MakeImages) -> None:
    images = make_images(patients=4)
    model = tiny(name).fit(images, context=Context(seed=0))
    many = model.sample(9, seed=7)  # three batches
    np.testing.assert_allclose(model.sample(5, seed=7), many[:5], atol=1e-5)
    assert model.sample(0, seed=7).shape == (0, 32, 32)
    assert len(np.unique(many.reshape(9, -1), axis=0)) == 9
    assert not same_state(model, tiny(name).fit(images, context=Context(seed=1)))


@each_model
def test_augmentation_changes_the_model(name: str, make_images: MakeImages) -> None:
    images = make_images(patients=4)
    plain, augmented = (tiny(name, augment=how).fit(images, context=Context(seed=0)) for how in ("none", "study"))
    assert not same_state(plain, augmented)


@each_model
def test_state_and_fields_are_all_there_is(name: str, make_images: MakeImages) -> None:
    images = make_images(patients=4, shape=(16, 16, 16))
    model = tiny(name).fit(images, context=Context(seed=0))
    state = model.state()
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in state.values())
    assert state["shape"].tolist() == [16, 16, 16]
    restored = type(model)(**dataclasses.asdict(model)).restore(state)
    assert np.array_equal(model.sample(3, seed=2), restored.sample(3, seed=2))
    assert np.array_equal(model.loss(images, seed=2), restored.loss(images, seed=2))
    with pytest.raises(MemobenchError, match=f"not of this {name}"):
        tiny(name, width="large").restore(state)
    del state["shape"]
    with pytest.raises(MemobenchError, match=rf"not of this {name} \('shape'\)"):
        tiny(name).restore(state)


@each_model
def test_loss_is_per_image(name: str, make_images: MakeImages) -> None:
    images = make_images(patients=7)
    model = tiny(name).fit(images, context=Context(seed=0))
    before = torch.random.get_rng_state()
    losses = model.loss(images, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert losses.shape == (7,)
    assert losses.dtype == np.float32
    assert len(np.unique(losses)) == 7
    assert (losses > 0).all() or name not in POSITIVE
    assert np.array_equal(losses, model.loss(images, seed=0))
    assert np.array_equal(losses, model.loss(images, seed=1)) == (name not in SEEDED)
    few = model.loss(images.take(np.array([5, 2])), seed=0)
    np.testing.assert_allclose(few, losses[[5, 2]], rtol=1e-4, atol=1e-5)
    assert len(model.loss(images.take(np.array([], dtype=np.int64)), seed=0)) == 0
    with pytest.raises(MemobenchError, match=r"\(16, 16\) cannot be judged"):
        model.loss(make_images(patients=2, shape=(16, 16)), seed=0)


@each_model
def test_an_unfitted_model_says_so(name: str, make_images: MakeImages) -> None:
    model, images = tiny(name), make_images()
    for call in (lambda: model.sample(1, seed=0), model.state, lambda: model.loss(images, seed=0)):
        with pytest.raises(MemobenchError, match=f"this {name} is not fitted; call fit or restore first"):
            call()
    with pytest.raises(MemobenchError, match="no images to fit"):
        model.fit(images.take(np.array([], dtype=np.int64)), context=Context(seed=0))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("ldm", "steps", 0),
        ("ldm", "unet_channels", ()),
        ("ldm", "width", "huge"),
        ("ldm", "augment", "some"),
        ("ldm", "patch", (2,)),
        ("ldm", "batch", (8,)),
        ("ldm", "patch", (3, 4)),
        ("ldm", "patch", (32, 4)),
        ("ldm", "downsampling", (12, 8)),
        ("ldm", "channels", (32,)),
        ("ldm", "adversarial_steps", -1),
        ("ldm", "adversarial", -0.5),
        ("ldm", "features", -1.0),
        ("ldm", "perceptual", -1.0),
        ("ldm", "discriminator_channels", 0),
        ("vae", "steps", 0),
        ("vae", "latent", 0),
        ("vae", "channels", ()),
        ("vae", "channels", (32,)),
        ("vae", "width", "huge"),
        ("vae", "augment", "some"),
        ("vae", "patch", (2,)),
        ("vae", "batch", (8,)),
        ("vae", "sd", 0.0),
        ("vae", "beta", -1.0),
        ("gan", "steps", 0),
        ("gan", "noise", 0),
        ("gan", "channels", ()),
        ("gan", "channels", (32, 0)),
        ("gan", "width", "huge"),
        ("gan", "augment", "some"),
        ("gan", "patch", (2,)),
        ("gan", "patch", (3, 4)),
        ("gan", "batch", (8,)),
        ("gan", "levels", (4,)),
        ("gan", "levels", (0, 3)),
        ("gan", "gamma", -1.0),
        ("gan", "gamma_last", -1.0),
        ("ddpm", "steps", 0),
        ("ddpm", "patch", (4,)),
        ("ddpm", "unet_channels", ()),
        ("ddpm", "schedule", "linear"),
        ("ddpm", "width", "huge"),
        ("flow", "augment", "some"),
        ("flow", "solver", "rk4"),
        ("flow", "time_sd", 0.0),
        ("flow", "downsampling", (12, 8)),
        ("vqgan", "codes", 0),
        ("vqgan", "heads", 3),
        ("vqgan", "top_k", -1),
        ("vqgan", "temperature", 0.0),
        ("vqgan", "codebook_decay", 1.0),
        ("vqgan", "channels", (32,)),
    ],
)
def test_impossible_settings_are_refused(name: str, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        TINY[name][0](**{field: value})


@each_model
@pytest.mark.parametrize("width", ["small", "large"])
def test_width_makes_the_networks_smaller_and_larger(name: str, width: str) -> None:
    sizes = {}
    for choice in ("base", width):
        model = TINY[name][0](width=choice)
        with torch.device("meta"):
            model._build((64, 64), "meta", seed=0)
        sizes[choice] = parameters_of(model)
    ratio = sizes[width] / sizes["base"]
    assert (0.2 < ratio < 0.45) if width == "small" else (2.5 < ratio < 4.2)


@each_model
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_preset_makes_its_networks(name: str, dimensions: int) -> None:
    kind = TINY[name][0]
    assert list(kind.PRESETS) == ["smoke", "quick", "standard", "paper"]
    for values in kind.PRESETS.values():
        model = kind(**values)
        with torch.device("meta"):
            model._build((64,) * dimensions, "meta", seed=0)
        assert parameters_of(model) > 0
