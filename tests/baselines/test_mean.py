from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.baselines.mean import Mean
from memobench.check import check_generator
from memobench.generator import GENERATORS, Context
from memobench.images import Images

MakeImages = Callable[..., Images]
SHAPES = [(32, 32), (16, 16, 16)]


def fitted(images: Images, **fields: float) -> Mean:
    return Mean(**fields).fit(images, context=Context(seed=0))  # type: ignore[arg-type]


def test_it_is_a_registered_control_without_new_patients() -> None:
    assert GENERATORS.get("mean") is Mean
    assert Mean.CONTROL
    assert not Mean.NEEDS_FRESH


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_contract(shape: tuple[int, ...]) -> None:
    assert "refit forgets" in check_generator(Mean, shape)


def test_it_needs_no_torch() -> None:
    code = f"import sys; sys.path[:] = {sys.path}; import memobench.baselines.mean; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mean_and_spread_are_those_of_the_patients(make_images: MakeImages) -> None:
    """All components, no blur, little contrast: the samples have the patients' mean and covariance."""
    images = make_images(patients=40, shape=(8, 8))  # four blocks, so four components are all
    images = Images(0.4 + 0.2 * images.pixels, images.patients, images.scans)
    samples = fitted(images, components=4, blur=0.0).sample(20000, seed=0)
    np.testing.assert_allclose(samples.mean(axis=0), images.pixels.mean(axis=0), atol=0.003)
    truth = np.cov(images.pixels.reshape(40, -1).T, bias=True)
    np.testing.assert_allclose(np.cov(samples.reshape(20000, -1).T), truth, atol=0.02 * np.abs(truth).max())


def test_each_patient_counts_once(make_images: MakeImages) -> None:
    images = make_images(patients=12)
    again = images.take(np.array([*range(12), 0, 0, 0]))
    assert np.allclose(fitted(again).state()["mean"], fitted(images).state()["mean"], atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_are_blurry_varied_and_nobody(make_images: MakeImages, shape: tuple[int, ...]) -> None:
    train = make_images(patients=60, shape=shape)
    samples = fitted(train).sample(40, seed=0)
    assert np.abs(np.diff(samples, axis=-1)).mean() < 0.5 * np.abs(np.diff(train.pixels, axis=-1)).mean()
    assert samples.std(axis=0).mean() > 0.02
    centre = train.pixels.mean(axis=0)
    made, real = ((images - centre).reshape(len(images), -1) for images in (samples, train.pixels))
    made, real = (images / np.linalg.norm(images, axis=1, keepdims=True) for images in (made, real))
    assert (made @ real.T).max() < 0.8  # a copy has 1


def test_samples_come_from_the_state_alone(make_images: MakeImages) -> None:
    model = fitted(make_images(patients=12), components=2)
    state = model.state()
    assert state["modes"].shape == (2, 32, 32)
    assert all(array.dtype == np.float32 for array in state.values())
    restored = Mean(**dataclasses.asdict(model)).restore(state)
    assert np.array_equal(model.sample(3, seed=2), restored.sample(3, seed=2))
    assert model.sample(0, seed=2).shape == (0, 32, 32)


def test_too_few_patients_are_refused(make_images: MakeImages) -> None:
    images = make_images(patients=7, scans=3)
    with pytest.raises(
        MemobenchError, match=r"7 patients are too few for 3 components .* at least 8 patients or fewer"
    ):
        fitted(images)
    assert fitted(images, components=2).sample(1, seed=0).shape == (1, 32, 32)


@pytest.mark.parametrize(("field", "value"), [("components", 0), ("blur", -0.1), ("blur", 0.6)])
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Mean(**{field: value})  # type: ignore[arg-type]
