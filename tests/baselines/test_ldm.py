from __future__ import annotations

import dataclasses
import doctest
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import memobench.training as train
import numpy as np
import pytest
import torch
from memobench.baselines.ldm import LDM
from memobench.errors import MemobenchError
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.testing import check_generator

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
SHAPES = [(32, 32), (16, 16, 16)]


class StoppedError(Exception):
    pass


def same_state(one: LDM, two: LDM) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("module", ["_first_stage", "_fields", "_diffusion", "_nets", "_augment", "_device"])
def test_the_examples_hold(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"memobench.baselines.{module}"))
    assert tried > 0
    assert failed == 0


def test_it_is_registered() -> None:
    assert GENERATORS.get("ldm") is LDM


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_contract(shape: tuple[int, ...]) -> None:
    assert "refit forgets" in check_generator(LDM, shape)


@pytest.mark.parametrize("shape", [(37, 50), (15, 18, 33), (8, 8)])
def test_odd_sides_are_padded_and_cropped(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["a", "b", "c"])
    images = Images(rng.random((3, *shape)).astype(np.float32), names, names)
    model = LDM(**TINY).fit(images, context=Context(seed=0))
    samples = model.sample(2, seed=0)
    assert samples.shape == (2, *shape)
    assert samples.dtype == np.float32
    assert samples.min() >= 0
    assert samples.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_resume_is_bit_for_bit_in_both_stages(
    make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    images = make_images(patients=6, shape=shape)
    whole = LDM(**TINY).fit(images, context=Context(seed=1))

    def stop_in(stage: str) -> Any:
        def track(items: Iterable[int], description: str, total: int | None = None) -> Iterator[int]:
            for done, item in enumerate(items):
                if done == 2 and stage in description:
                    raise StoppedError
                yield item

        return track

    for stage in ("autoencoder", "diffusion"):
        with pytest.raises(StoppedError):
            LDM(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path, track=stop_in(stage)))
    resumed = LDM(**TINY).fit(images, context=Context(seed=1, checkpoints=tmp_path))
    assert same_state(whole, resumed)
    for stage, losses in whole.history_.items():
        assert np.array_equal(losses, resumed.history_[stage])
        assert losses.shape == (4,)


def test_a_checkpoint_of_other_images_is_refused(make_images: MakeImages, tmp_path: Path) -> None:
    context = Context(seed=1, checkpoints=tmp_path)
    LDM(**TINY).fit(make_images(patients=4), context=context)
    with pytest.raises(MemobenchError, match=r"autoencoder\.safetensors is of another training; delete it"):
        LDM(**TINY).fit(make_images(patients=4, seed=1), context=context)


def test_another_fitting_seed_gives_another_model(make_images: MakeImages) -> None:
    images = make_images(patients=4)
    one, two = (LDM(**TINY).fit(images, context=Context(seed=seed)) for seed in (0, 1))
    assert not same_state(one, two)


def test_samples_do_not_depend_on_how_many_are_drawn(make_images: MakeImages) -> None:
    model = LDM(**TINY).fit(make_images(patients=4), context=Context(seed=0))
    many = model.sample(9, seed=7)  # three batches
    np.testing.assert_allclose(model.sample(5, seed=7), many[:5], atol=1e-5)
    assert model.sample(0, seed=7).shape == (0, 32, 32)
    assert len(np.unique(many.reshape(9, -1), axis=0)) == 9


def test_state_and_fields_are_all_there_is(make_images: MakeImages) -> None:
    images = make_images(patients=4, shape=(16, 16, 16))
    model = LDM(**TINY).fit(images, context=Context(seed=0))
    state = model.state()
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in state.values())
    assert state["shape"].tolist() == [16, 16, 16]
    restored = LDM(**dataclasses.asdict(model)).restore(state)
    assert np.array_equal(model.sample(3, seed=2), restored.sample(3, seed=2))
    assert np.array_equal(model.loss(images, seed=2), restored.loss(images, seed=2))
    with pytest.raises(MemobenchError, match="not of this ldm"):
        LDM(**{**TINY, "unet_channels": (16, 16)}).restore(state)
    del state["latent.mean"]
    with pytest.raises(MemobenchError, match=r"latent\.mean"):
        LDM(**TINY).restore(state)


def test_loss_is_per_image_and_seeded(make_images: MakeImages) -> None:
    images = make_images(patients=7)
    model = LDM(**TINY).fit(images, context=Context(seed=0))
    before = torch.random.get_rng_state()
    losses = model.loss(images, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert losses.shape == (7,)
    assert (losses > 0).all()
    assert np.array_equal(losses, model.loss(images, seed=0))
    assert not np.array_equal(losses, model.loss(images, seed=1))
    np.testing.assert_allclose(model.loss(images.take(np.array([5, 2])), seed=0), losses[[5, 2]], rtol=1e-4)
    assert len(model.loss(images.take(np.array([], dtype=np.int64)), seed=0)) == 0
    with pytest.raises(MemobenchError, match="shape"):
        model.loss(make_images(patients=2, shape=(16, 16)), seed=0)


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


def test_an_unfitted_model_says_so(make_images: MakeImages) -> None:
    for call in (lambda: LDM().sample(1, seed=0), lambda: LDM().state(), lambda: LDM().loss(make_images(), seed=0)):
        with pytest.raises(MemobenchError, match="call fit or restore first"):
            call()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("unet_channels", ()),
        ("width", "huge"),
        ("augment", "some"),
        ("patch", (2,)),
        ("batch", (8,)),
        ("patch", (3, 4)),
        ("patch", (32, 4)),
        ("downsampling", (12, 8)),
        ("channels", (32,)),
    ],
)
def test_impossible_settings_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        LDM(**{field: value})


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("preset", LDM.PRESETS)
def test_every_preset_makes_its_networks(preset: str, dimensions: int) -> None:
    model = LDM(**LDM.PRESETS[preset])
    with torch.device("meta"):
        model._build((64,) * dimensions, "meta", seed=0)
    assert sum(parameter.numel() for parameter in model.unet_.parameters()) > 0


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
