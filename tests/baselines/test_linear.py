from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.baselines.linear import Linear
from memobench.check import check_generator
from memobench.generator import GENERATORS, Context, build
from memobench.images import Images

MakeImages = Callable[..., Images]
SHAPES = [(32, 32), (16, 16, 16)]


def fitted(images: Images, variance: float = 0.99) -> Linear:
    return Linear(variance).fit(images, context=Context(seed=0))


def test_it_is_a_registered_control_with_the_same_fields_in_every_preset() -> None:
    assert GENERATORS.get("linear") is Linear
    assert Linear.CONTROL
    for preset in ("smoke", "quick", "standard", "paper"):
        assert build(Linear, "linear", preset, {}) == Linear()
    assert build(Linear, "linear", "quick", {"variance": "0.5"}) == Linear(0.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_contract(shape: tuple[int, ...]) -> None:
    assert "refit forgets" in check_generator(Linear, shape)


def test_it_needs_no_torch() -> None:
    code = f"import sys; sys.path[:] = {sys.path}; import memobench.baselines.linear; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mean_and_covariance_are_those_of_the_images(make_images: MakeImages) -> None:
    images = make_images(patients=40, shape=(8, 8))
    images = Images(0.4 + 0.2 * images.pixels, images.patients, images.scans)
    samples = fitted(images, 1.0).sample(20_000, seed=0)
    np.testing.assert_allclose(samples.mean(axis=0), images.pixels.mean(axis=0), atol=0.003)
    truth = np.cov(images.pixels.reshape(40, -1).T)
    np.testing.assert_allclose(np.cov(samples.reshape(20_000, -1).T), truth, atol=0.03 * np.abs(truth).max())


@pytest.mark.parametrize("variance", [0.3, 0.8, 1.0])
def test_the_components_keep_the_share_of_variance_that_is_asked_for(make_images: MakeImages, variance: float) -> None:
    images = make_images(patients=30, shape=(16, 16))
    modes = fitted(images, variance).state()["modes"]
    whole = images.pixels.reshape(30, -1).astype(float).var(axis=0, ddof=1).sum()
    kept = (modes.astype(float) ** 2).sum() / whole
    assert variance - 1e-4 <= kept <= 1 + 1e-4
    assert (modes[:-1].astype(float) ** 2).sum() / whole < variance  # one component fewer would keep less


@pytest.mark.parametrize("shape", SHAPES)
def test_no_sample_is_a_training_image(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    train = make_images(patients=60, shape=shape)
    samples = fitted(train).sample(40, seed=0)
    real = train.pixels.reshape(60, -1)
    real = real - real.mean(axis=0)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    made = samples.reshape(40, -1) - train.pixels.reshape(60, -1).mean(axis=0)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    assert np.abs(made @ real.T).max() < 0.8


def test_what_cannot_be_learned_is_refused(make_images: MakeImages) -> None:
    with pytest.raises(MemobenchError, match="7 images are too few"):
        fitted(make_images(patients=7))
    images = make_images(patients=9)
    with pytest.raises(MemobenchError, match="all training images are equal"):
        fitted(Images(np.full_like(images.pixels, 0.5), images.patients, images.scans))
    for variance in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="give a share"):
            Linear(variance)
