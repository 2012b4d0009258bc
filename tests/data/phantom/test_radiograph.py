from __future__ import annotations

import hashlib

import numpy as np
import pytest
from memobench.data.phantom import arithmetic, radiograph, torso

DIGESTS = {
    (0, 0, 64, 0): "a440695f5b532e0e",
    (0, 1, 64, 0): "f207add726a5e9dc",
    (1, 0, 32, 0): "4a22a255e3139ea6",
    (2, 0, 128, 0): "b1c3e55ddb0d3860",
    (3, 2, 64, 7): "0a00e8969c33f203",
    (11, 0, 64, 0): "c48b398bd929e9ac",
}


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    """Two scans of 32 patients, (32, 2, 64, 64)."""
    return np.stack([[radiograph.draw(p, k, size=64) for k in (0, 1)] for p in range(32)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def band(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float64)
    return arithmetic.blur(image, 1.0) - arithmetic.blur(image, 4.0)


@pytest.mark.parametrize("key", DIGESTS)
def test_bytes_are_fixed(key: tuple[int, int, int, int]) -> None:
    patient, scan, size, seed = key
    image = radiograph.draw(patient, scan, size=size, seed=seed)
    assert image.dtype == np.uint8
    assert image.shape == (size, size)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == DIGESTS[key]


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert (radiograph.draw(9, 1, size=32) == radiograph.draw(9, 1, size=32)).all()


def test_patient_scan_and_seed_change_the_image() -> None:
    drawn = [
        radiograph.draw(*which, size=32, seed=seed) for *which, seed in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    ]
    assert len({image.tobytes() for image in drawn}) == 4


def test_images_use_the_range_and_are_not_blank(scans: np.ndarray) -> None:
    flat = scans.reshape(64, -1).astype(np.float64)
    assert (np.percentile(flat, 99, axis=1) - np.percentile(flat, 1, axis=1) > 90).all()
    assert (flat.std(axis=1) > 20).all()
    assert 90 < flat.mean() < 190


def test_a_patients_scans_are_closer_than_other_patients(scans: np.ndarray) -> None:
    bands = [[band(image) for image in pair] for pair in scans]
    same = np.mean([correlation(*pair) for pair in bands])
    other = np.mean([correlation(bands[p][0], bands[(p + k) % 32][1]) for p in range(32) for k in (1, 7, 15)])
    assert same > other + 0.04
    assert same < 0.9  # a second scan is not the first one with other noise


def test_patients_differ(scans: np.ndarray) -> None:
    first = scans[:, 0].reshape(32, -1)
    nearest = np.corrcoef(first) - 2 * np.eye(32)
    assert np.median(nearest.max(axis=1)) < 0.93


@pytest.mark.parametrize("patient", range(4))
def test_sizes_agree(patient: int) -> None:
    small = radiograph.draw(patient, 0, size=64).astype(np.float64)
    large = radiograph.draw(patient, 0, size=256).astype(np.float64).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert correlation(small, large) > 0.975


def test_line_integrals_are_finite_and_positive() -> None:
    for patient in range(8):
        depth = radiograph.attenuation(torso.anatomy(patient), radiograph.exposure(patient, 0), 48)
        assert np.isfinite(depth).all()
        assert depth.min() >= 0.0
        assert 2.0 < depth.max() < 25.0


def test_body_darkens_the_beam_as_beer_and_lambert_say() -> None:
    """The middle of the belly holds no air: its integral is the body's thickness times water's attenuation."""
    patient = next(p for p in range(50) if torso.anatomy(p).bowel_gas == 0 and torso.anatomy(p).leads == 0)
    a, e = torso.anatomy(patient), radiograph.exposure(patient, 0)
    depth = radiograph.attenuation(a, e, 64)[-1, 32]
    assert 0.7 * 2.0 * a.depth * radiograph.WATER < depth < 3.5 * 2.0 * a.depth * radiograph.WATER


def test_second_scan_differs_in_pose_and_technique() -> None:
    one, two = radiograph.exposure(4, 0), radiograph.exposure(4, 1)
    assert one.field != two.field
    assert one.turn != two.turn
    assert one.gamma != two.gamma


@pytest.mark.parametrize("size", [0, 8, 4096])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size from 16 to 1024"):
        radiograph.draw(0, 0, size=size)
