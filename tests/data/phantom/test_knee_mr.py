from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from memobench.data.phantom import arithmetic, knee_mr
from memobench.data.phantom.knee import Knee

SLICES = {
    (0, 0, 64, 0): "bd5cac5950d91358",
    (0, 1, 64, 0): "adf3d53e8749bab3",
    (1, 0, 32, 0): "68f1b4e3a3115c34",
    (5, 0, 128, 3): "3f2c998e524b5b5e",
}
VOLUMES = {
    (0, 0, 32, 0): "1833419db0ab9fda",
    (1, 1, 24, 0): "257bb432362d2324",
    (2, 0, 16, 5): "3ddef669d01ac44c",
}


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    """Two scans of 24 patients, (24, 2, 64, 64)."""
    return np.stack([[knee_mr.draw_slice(p, k, size=64) for k in (0, 1)] for p in range(24)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("key", SLICES)
def test_bytes_of_slices_are_fixed(key: tuple[int, int, int, int]) -> None:
    patient, scan, size, seed = key
    image = knee_mr.draw_slice(patient, scan, size=size, seed=seed)
    assert image.dtype == np.uint8
    assert image.shape == (size, size)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == SLICES[key]


@pytest.mark.parametrize("key", VOLUMES)
def test_bytes_of_volumes_are_fixed(key: tuple[int, int, int, int]) -> None:
    patient, scan, size, seed = key
    image = knee_mr.draw_volume(patient, scan, size=size, seed=seed)
    assert image.dtype == np.uint8
    assert image.shape == (size, size, size)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == VOLUMES[key]


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert (knee_mr.draw_slice(9, 1, size=32) == knee_mr.draw_slice(9, 1, size=32)).all()
    assert (knee_mr.draw_volume(9, 1, size=16) == knee_mr.draw_volume(9, 1, size=16)).all()


def test_patient_scan_and_seed_change_the_image() -> None:
    drawn = [
        knee_mr.draw_slice(*which, size=32, seed=seed) for *which, seed in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    ]
    assert len({image.tobytes() for image in drawn}) == 4


def test_images_use_the_range_and_are_not_blank(scans: np.ndarray) -> None:
    flat = scans.reshape(48, -1).astype(np.float64)
    assert (np.percentile(flat, 99, axis=1) - np.percentile(flat, 1, axis=1) > 90).all()
    assert (flat.std(axis=1) > 20).all()
    assert 50 < flat.mean() < 150
    # few of the pixels are cut off at white
    assert np.mean(flat == 255) < 0.05


@pytest.mark.parametrize("volume", [False, True])
def test_a_patients_scans_are_closer_than_other_patients(scans: np.ndarray, volume: bool) -> None:
    if volume:
        scans = np.stack([[knee_mr.draw_volume(p, k, size=16) for k in (0, 1)] for p in range(24)])
    images = scans.astype(np.float64)
    same = np.mean([correlation(*pair) for pair in images])
    other = np.mean([correlation(images[p][0], images[(p + k) % 24][1]) for p in range(24) for k in (1, 5, 11)])
    assert same > other + 0.1
    assert same < 0.95  # a second scan is not the first one with other noise


def test_patients_differ(scans: np.ndarray) -> None:
    nearest = np.corrcoef(scans[:, 0].reshape(24, -1)) - 2 * np.eye(24)
    assert np.median(nearest.max(axis=1)) < 0.9


@pytest.mark.parametrize("patient", range(4))
def test_sizes_agree(patient: int) -> None:
    small = knee_mr.draw_slice(patient, 0, size=64).astype(np.float64)
    large = knee_mr.draw_slice(patient, 0, size=256).astype(np.float64).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    smooth = [arithmetic.blur(image, 0.8) for image in (small, large)]  # less the pixels' own noise
    assert correlation(*smooth) > 0.95


def test_a_volume_is_a_stack_of_slices() -> None:
    knee, scan = Knee.of(6), knee_mr.acquisition(6, 0, volume=True)
    positions = np.array([-20.0, 3.0, 21.0])
    stack = knee_mr.paint(knee, scan, positions, 64)
    for at, image in zip(positions, stack, strict=True):
        np.testing.assert_allclose(knee_mr.paint(knee, scan, np.array([at]), 64)[0], image, atol=1e-9)


def test_contrasts_are_those_of_the_protocols() -> None:
    seen = {}
    for patient in range(40):
        q = knee_mr.acquisition(patient, 0)
        fat, muscle, fluid, tendon = (knee_mr.spin_echo(t, q) for t in ("fat", "muscle", "fluid", "ligament"))
        seen[q.protocol] = q
        assert tendon < min(muscle, fluid)
        if q.protocol == "T1":
            assert fat > 1.5 * muscle > fluid
        elif q.protocol == "PD":
            assert fluid > muscle
            assert fat > 1.3 * muscle
        else:
            assert fluid > fat * (q.fat_left + 0.1)
            assert q.fat_left < 0.3
    assert set(seen) == set(knee_mr.PROTOCOLS)


def test_fat_suppression_darkens_marrow_and_not_muscle() -> None:
    q = replace(knee_mr.acquisition(2, 0), fat_left=1.0, fat_uneven=(0.0, 0.0), at=20.0)
    knee, at = Knee.of(2), np.array([20.0])
    plain, without = (knee_mr.paint(knee, replace(q, fat_left=left), at, 64)[0] for left in (1.0, 0.1))
    assert (without <= plain + 1e-12).all()
    darker = without < 0.3 * plain
    kept = (without > 0.95 * plain) & (plain > 0.1)
    assert darker.mean() > 0.2  # fat and marrow
    assert kept.mean() > 0.02  # cartilage and muscle


def test_noise_of_air_is_that_of_rayleigh() -> None:
    """Where there is no signal the magnitude has mean sd sqrt(pi / 2)."""
    ratios = []
    for patient in range(24):
        q = knee_mr.acquisition(patient, 0)
        empty = knee_mr.paint(Knee.of(patient), q, np.array([q.at]), 64)[0] == 0.0
        if empty.sum() > 200:
            image = knee_mr.draw_slice(patient, 0, size=64)[empty] / 255.0
            ratios.append(np.mean(image ** (1.0 / q.gamma)) / (q.gain * q.noise * np.sqrt(np.pi / 2.0)))
    assert len(ratios) > 8
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


def test_pose_and_technique_vary_between_scans() -> None:
    one, two = knee_mr.acquisition(4, 0), knee_mr.acquisition(4, 1)
    assert one.shift != two.shift
    assert one.flexion != two.flexion
    assert one.noise != two.noise
    assert one.at != two.at
    assert abs(one.at - two.at) < 12.0  # the same slice of the same knee
    assert knee_mr.acquisition(4, 0) == one


@pytest.mark.parametrize("size", [0, 4, 1024])
@pytest.mark.parametrize("draw", [knee_mr.draw_slice, knee_mr.draw_volume])
def test_sizes_out_of_range_are_refused(draw: object, size: int) -> None:
    with pytest.raises(ValueError, match="size from 8 to 512"):
        draw(0, 0, size=size)  # type: ignore[operator]
