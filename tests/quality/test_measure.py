from __future__ import annotations

import numpy as np
import pytest
from memobench.errors import DataError
from memobench.quality.fd import frechet_distance
from memobench.quality.kid import kernel_distance
from memobench.quality.measure import measure_quality
from memobench.quality.ms_ssim import diversity
from memobench.quality.prdc import prdc

KEYS = {"fd_toy", "kid_toy", "precision", "recall", "density", "coverage", "ms_ssim"}


def draw(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    features = rng.normal(shift, 1, (n, 6))
    return features, rng.random((n, 24, 24)).astype(np.float32)


def measure(n=60, m=50, f=40, shift=0.0, patients=25, seed=0, draws=0):
    fake, real, floor = draw(n, 3 * draws, shift), draw(m, 3 * draws + 1), draw(f, 3 * draws + 2)
    labels = np.array([f"p{i % patients}" for i in range(m)])
    return measure_quality(fake[0], real[0], labels, floor[0], fake[1], real[1], feature_name="toy", seed=seed)


def check(result):
    assert set(result) == KEYS
    for name, metric in result.items():
        assert set(metric) == {"value", "low", "high", "null", "better"}
        numbers = [metric[key] for key in ("value", "low", "high", "null")]
        assert np.isfinite(numbers).all(), name
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["low"] < metric["high"]
        if not name.startswith("kid"):
            assert metric["low"] >= 0
        if name in ("precision", "recall", "coverage", "ms_ssim"):
            assert metric["high"] <= 1


def test_values_are_those_of_the_functions():
    fake, real, floor = draw(60, 0), draw(50, 1), draw(40, 2)
    result = measure()
    check(result)
    patients = np.array([f"p{i % 25}" for i in range(50)])
    assert result["fd_toy"]["value"] == frechet_distance(fake[0], real[0])
    assert result["fd_toy"]["null"] == frechet_distance(floor[0], real[0])
    assert result["kid_toy"]["value"] == kernel_distance(fake[0], real[0])
    for name, value in prdc(real[0], fake[0]).items():
        assert result[name]["value"] == value
    for name, value in prdc(real[0], floor[0]).items():
        assert result[name]["null"] == value
    assert result["ms_ssim"]["value"] == diversity(fake[1], seed=0).value
    assert result["ms_ssim"]["null"] == diversity(real[1], seed=0, groups=patients).value
    assert {name: metric["better"] for name, metric in result.items()} == {
        "fd_toy": "lower",
        "kid_toy": "lower",
        "precision": "higher",
        "recall": "higher",
        "density": "higher",
        "coverage": "higher",
        "ms_ssim": "null",
    }
    assert measure() == result


def test_a_bad_generator_is_told_from_a_good_one():
    good, bad = measure(), measure(shift=2.0)
    for name in KEYS - {"ms_ssim", "recall"}:  # recall's balls around strays are large: it forgives a shift
        if good[name]["better"] == "lower":
            assert good[name]["high"] < bad[name]["low"]
        else:
            assert good[name]["low"] > bad[name]["high"]


def test_a_copy_of_the_reference():
    features, pixels = draw(40, 0)
    patients = np.arange(40)
    result = measure_quality(features, features, patients, features, pixels, pixels, feature_name="toy", seed=0)
    check(result)
    assert result["fd_toy"]["value"] == pytest.approx(0, abs=1e-9)
    assert result["precision"]["value"] == result["coverage"]["value"] == 1
    assert result["precision"]["low"] < 1  # Wilson's, where no replicate differs


def test_the_floor_has_no_more_images_than_the_generator_gave():
    fake, real, floor = draw(20, 0), draw(50, 1), draw(400, 2)
    arguments = (fake[0], real[0], np.arange(50), floor[0], fake[1], real[1])
    matched = measure_quality(*arguments, feature_name="toy", seed=0)["fd_toy"]["null"]
    twenty = [frechet_distance(floor[0][start : start + 20], real[0]) for start in range(0, 400, 20)]
    assert min(twenty) <= matched <= max(twenty)
    assert matched > frechet_distance(floor[0], real[0])


@pytest.mark.parametrize(("n", "m", "f", "patients"), [(16, 8, 8, 3), (16, 16, 6, 2), (6, 6, 6, 6)])
def test_smoke_sizes_give_finite_intervals(n, m, f, patients):
    check(measure(n, m, f, patients=patients))


def test_collapsed_and_constant_generators_give_finite_intervals():
    real, floor = draw(30, 1), draw(30, 2)
    features, pixels = np.zeros((20, 6)), np.full((20, 24, 24), 0.5, dtype=np.float32)
    result = measure_quality(features, real[0], np.arange(30), floor[0], pixels, real[1], feature_name="toy", seed=0)
    for metric in result.values():
        assert np.isfinite([metric[key] for key in ("value", "low", "high", "null")]).all()
    assert result["ms_ssim"]["value"] == pytest.approx(1)


def test_intervals_cover_the_expectation():
    results = [measure(30, 30, 8, draws=i, patients=30, shift=0.7) for i in range(40)]
    for name in ("fd_toy", "kid_toy", "precision", "density", "ms_ssim"):
        expectation = np.mean([result[name]["value"] for result in results])
        hits = sum(result[name]["low"] <= expectation <= result[name]["high"] for result in results)
        assert hits >= 34, name  # 0.95 of 40 is 38; three standard errors below


def test_refusals():
    with pytest.raises(DataError, match=r"1 patient\(s\); an interval needs two"):
        measure(patients=1)
    with pytest.raises(DataError, match="4 generated images have no 5"):
        measure(n=4)
    with pytest.raises(DataError, match="generated images have no 5"):
        measure(f=3)
    fake, real = draw(20, 0), draw(20, 1)
    with pytest.raises(DataError, match="one of each per image"):
        measure_quality(fake[0], real[0], np.arange(19), real[0], fake[1], real[1], feature_name="toy", seed=0)
