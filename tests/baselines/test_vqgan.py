from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.baselines._device import to_images, to_pixels
from memobench.baselines._nets import from_patches, to_patches
from memobench.baselines.vqgan import VQGAN
from memobench.generator import Context
from memobench.images import Images
from torch.nn import functional as F

MakeImages = Callable[..., Images]
TINY: dict[str, Any] = {
    "downsampling": (4, 4),
    "channels": (16,),
    "codes": 16,
    "autoencoder_steps": 4,
    "autoencoder_batch": (4, 4),
    "features": 16,
    "heads": 2,
    "layers": 1,
    "steps": 4,
    "batch": (4, 4),
}


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 16)])
def test_the_loss_is_the_likelihood_of_an_images_codes(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    images = make_images(patients=5, shape=shape)
    model = VQGAN(**TINY).fit(images, context=Context(seed=0))
    codes = model._encode(to_pixels(images, 4))
    assert codes.shape == (5, np.prod(shape) // 4 ** len(shape))
    assert codes.max() < 16
    with torch.no_grad():
        log = model.transformer_(codes).log_softmax(dim=2)
    wanted = [-sum(log[i, place, code].item() for place, code in enumerate(codes[i])) for i in range(5)]
    np.testing.assert_allclose(model.loss(images, seed=0), wanted, rtol=1e-4)
    # Hardly trained, every one of 16 codes is about as likely
    np.testing.assert_allclose(wanted, codes.shape[1] * np.log(16), rtol=0.2)


@pytest.mark.parametrize("shape", [(16, 32), (8, 16, 12)])
def test_codes_are_laid_out_as_they_were_read(
    make_images: MakeImages, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """Where the transformer draws the codes of real images, the samples are their reconstructions."""
    images = make_images(patients=3, shape=shape)
    model = VQGAN(**TINY).fit(images, context=Context(seed=0))
    pixels = to_pixels(images, 4)
    codes = model._encode(pixels)
    monkeypatch.setattr(model.transformer_, "draw", lambda uniform, temperature, top_k: codes)
    with torch.no_grad():
        net = model.autoencoder_
        made = net.decoder(net.book(net.encoder(to_patches(pixels, 4)))[0])
    np.testing.assert_allclose(model.sample(3, seed=0), to_images(from_patches(made, 4), shape), atol=1e-4)


def test_colder_draws_are_likelier(make_images: MakeImages) -> None:
    images = make_images(patients=6, shape=(16, 16))
    mean = {}
    for temperature, top_k in ((1.0, 0), (0.3, 0), (1.0, 1)):
        settings = {**TINY, "steps": 40, "temperature": temperature, "top_k": top_k}
        model = VQGAN(**settings).fit(images, context=Context(seed=0))
        uniform = torch.rand(64, 16, 16, generator=torch.Generator().manual_seed(0))
        codes = model.transformer_.draw(uniform, temperature, top_k)
        with torch.no_grad():
            logits = model.transformer_(codes).transpose(1, 2)
        mean[temperature, top_k] = F.cross_entropy(logits, codes).item()
    assert mean[1.0, 0] > mean[0.3, 0] > mean[1.0, 1]


def test_it_learns_its_training_images(make_images: MakeImages) -> None:
    """Overfitted to four images, it finds their codes likelier than strangers' and draws near-copies of them."""
    train_images, others = make_images(patients=4, shape=(16, 16)), make_images(patients=4, shape=(16, 16), seed=1)
    settings: dict[str, Any] = {
        **TINY, "codes": 64, "channels": (32,), "autoencoder_steps": 200, "features": 32, "steps": 150,
        "ema": 0.95, "keep": 1.0
    }  # fmt: skip
    model = VQGAN(**settings, learning_rate=5e-3).fit(train_images, context=Context(seed=0))
    losses = model.loss(train_images, seed=0)
    assert losses.mean() > np.log(4) - 1e-3  # no code can tell four images with less
    assert losses.mean() < np.log(4) + 1
    assert model.loss(others, seed=0).min() > 10 * losses.max()
    samples = model.sample(16, seed=0).reshape(16, 1, -1)
    to_train = np.abs(samples - train_images.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    to_others = np.abs(samples - others.pixels.reshape(1, 4, -1)).mean(axis=2).min(axis=1)
    assert (to_train < to_others).mean() >= 0.9
    assert len(np.unique(samples.round(2).reshape(16, -1), axis=0)) > 1
