from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from memobench.data.phantom import knee_mr
from memobench.data.phantom.knee import Knee

PARAMETERS = [item for item in fields(Knee) if item.metadata]
CONTINUOUS = [item.name for item in PARAMETERS if "spread" in item.metadata]
DISCRETE = [item.name for item in PARAMETERS if "values" in item.metadata]


def paint(knee: Knee) -> np.ndarray:
    """A small knee without noise."""
    scan = replace(knee_mr.acquisition(1, 0, volume=True), protocol="PD", repetition=3000.0, echo=40.0)
    return knee_mr.paint(knee, scan, np.linspace(-34.0, 34.0, 14), 32)


@pytest.fixture(scope="module")
def whole() -> Knee:
    """A patient who has every finding, so that no parameter lies idle."""
    knee = Knee.of(3)
    return replace(knee, torn=1, defect=1, oedema=1, baker_cyst=1, cruciate_torn=0, effusion=6.0, oedema_x=10.0)


@pytest.fixture(scope="module")
def image(whole: Knee) -> np.ndarray:
    return paint(whole)


def test_there_are_many_continuous_and_some_discrete_parameters() -> None:
    drawn = [Knee.of(patient) for patient in range(60)]
    assert sum(len({getattr(knee, name) for knee in drawn}) > 50 for name in CONTINUOUS) >= 40
    assert sum(len({getattr(knee, name) for knee in drawn}) > 1 for name in DISCRETE) >= 7


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_every_parameter_shows(name: str, whole: Knee, image: np.ndarray) -> None:
    item = next(i for i in PARAMETERS if i.name == name)
    value = getattr(whole, name)
    if name in CONTINUOUS:
        spread = item.metadata["spread"]
        other = item.default + (1.5 if value < item.default + 0.5 * spread else -0.5) * spread
    else:
        other = next(v for v in item.metadata["values"] if v != value)
    assert np.abs(paint(replace(whole, **{name: other})) - image).max() > 0.01


def test_parameters_keep_to_their_spread() -> None:
    drawn = [Knee.of(patient) for patient in range(400)]
    for item in PARAMETERS:
        values = np.array([getattr(knee, item.name) for knee in drawn])
        if item.name in CONTINUOUS:
            z = (values - item.default) / item.metadata["spread"]
            assert np.abs(z).max() <= 2.5 + 1e-9
            assert abs(z.mean()) < 0.2
            assert 0.85 < z.std() < 1.15
        else:
            assert set(values.tolist()) == set(item.metadata["values"])


def test_anatomy_is_fixed_by_patient_and_seed() -> None:
    assert Knee.of(5) == Knee.of(5)
    assert Knee.of(5, seed=1).tibia_width != Knee.of(5, seed=0).tibia_width
    assert Knee.of(5).tibia_width != Knee.of(6).tibia_width


def test_parameters_are_drawn_independently() -> None:
    knees = [Knee.of(patient) for patient in range(200)]
    drawn = np.array([[getattr(knee, name) for name in CONTINUOUS] for knee in knees])
    between = np.corrcoef(drawn.T) - np.eye(len(CONTINUOUS))
    assert np.abs(between).max() < 0.35  # 5 standard errors
