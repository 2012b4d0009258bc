from __future__ import annotations

import hashlib

import numpy as np
import pytest
from memobench.data.phantom import arithmetic, chest_ct, torso

SLICES = {
    (0, 0, 64, 0): "e31dc47389872864",
    (0, 1, 64, 0): "51671b956573cb30",
    (1, 0, 32, 0): "8d705b6752ae575f",
    (5, 0, 128, 3): "206b5b42debe25cc",
}
VOLUMES = {
    (0, 0, 32, 0): "8ab97ed68e2ec4de",
    (1, 1, 24, 0): "43cfeda5e556bb75",
    (2, 0, 16, 5): "33055dec8b1c1eff",
}


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    """Two scans of 24 patients, (24, 2, 64, 64)."""
    return np.stack([[chest_ct.draw_slice(p, k, size=64) for k in (0, 1)] for p in range(24)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def band(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float64)
    return arithmetic.blur(image, 1.0) - arithmetic.blur(image, 4.0)


@pytest.mark.parametrize("key", SLICES)
def test_bytes_of_slices_are_fixed(key: tuple[int, int, int, int]) -> None:
    patient, scan, size, seed = key
    image = chest_ct.draw_slice(patient, scan, size=size, seed=seed)
    assert image.dtype == np.uint8
    assert image.shape == (size, size)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == SLICES[key]


@pytest.mark.parametrize("key", VOLUMES)
def test_bytes_of_volumes_are_fixed(key: tuple[int, int, int, int]) -> None:
    patient, scan, size, seed = key
    image = chest_ct.draw_volume(patient, scan, size=size, seed=seed)
    assert image.dtype == np.uint8
    assert image.shape == (size, size, size)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == VOLUMES[key]


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert (chest_ct.draw_slice(9, 1, size=32) == chest_ct.draw_slice(9, 1, size=32)).all()
    assert (chest_ct.draw_volume(9, 1, size=16) == chest_ct.draw_volume(9, 1, size=16)).all()


def test_hounsfield_units_are_those_of_lung_and_tissue() -> None:
    lung, soft = [], []
    for patient in range(12):
        units = chest_ct.hounsfield_slice(patient, 0, size=64)
        assert units.dtype == np.int16
        lung.append(np.mean((units > -980) & (units < -650)))
        soft.append(np.mean((units > -150) & (units < 400)))
    assert np.mean(lung) > 0.25
    assert np.mean(soft) > 0.15


def test_volumes_hold_lung_and_vessels() -> None:
    units = np.stack([chest_ct.hounsfield_volume(p, 0, size=24) for p in range(8)])
    assert units.dtype == np.int16
    assert np.mean(units < -650) > 0.4
    assert np.mean(units > -200) > 0.05


def test_images_use_the_range_and_are_not_blank(scans: np.ndarray) -> None:
    flat = scans.reshape(48, -1).astype(np.float64)
    assert (np.percentile(flat, 99, axis=1) - np.percentile(flat, 1, axis=1) > 60).all()
    assert (flat.std(axis=1) > 8).all()


def test_a_patients_scans_are_closer_than_other_patients(scans: np.ndarray) -> None:
    bands = [[band(image) for image in pair] for pair in scans]
    same = np.mean([correlation(*pair) for pair in bands])
    other = np.mean([correlation(bands[p][0], bands[(p + k) % 24][1]) for p in range(24) for k in (1, 5, 11)])
    assert same > other + 0.1
    assert same < 0.95


@pytest.mark.parametrize("patient", range(4))
def test_sizes_agree(patient: int) -> None:
    small = chest_ct.draw_slice(patient, 0, size=64).astype(np.float64)
    large = chest_ct.draw_slice(patient, 0, size=256).astype(np.float64).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert correlation(small, large) > 0.93


def test_targets_lie_in_the_lung() -> None:
    for patient in range(20):
        a = torso.anatomy(patient)
        x, y, z = chest_ct.target(a).centre.tolist()
        wide, deep = torso.cage(a, np.array([y]))
        assert (x / wide[0]) ** 2 + (z / deep[0]) ** 2 < 1.1
        assert a.base < y < a.apex


def test_window_and_position_vary_between_scans() -> None:
    one, two = chest_ct.acquisition(4, 0), chest_ct.acquisition(4, 1)
    assert one.shift != two.shift
    assert one.high != two.high
    assert one.contrast == two.contrast


@pytest.mark.parametrize("size", [0, 4, 1024])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size from 8 to 512"):
        chest_ct.draw_slice(0, 0, size=size)
