from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.quality.fd import frechet_distance
from memobench.quality.kid import kernel_distance
from memobench.quality.measure import measure_distances, measure_quality
from memobench.quality.ms_ssim import diversity
from memobench.quality.prdc import prdc
from memobench.stats.jackknife import block_jackknife
from scipy import stats

KEYS = {"fd_toy", "fd_inf_toy", "kid_toy", "precision", "recall", "density", "coverage", "ms_ssim"}


def draw(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    features = rng.normal(shift, 1, (n, 6))
    return features, rng.random((n, 24, 24)).astype(np.float32)


def quality(*sets, **words):
    return measure_quality(*sets, **words).metrics


def measure(n=60, m=50, f=40, shift=0.0, patients=25, seed=0, draws=0):
    fake, real, floor = draw(n, 3 * draws, shift), draw(m, 3 * draws + 1), draw(f, 3 * draws + 2)
    labels = np.array([f"p{i % patients}" for i in range(m)])
    return quality(fake[0], real[0], labels, floor[0], fake[1], real[1], feature_name="toy", seed=seed)


def check(result, endless=True):
    assert set(result) == (KEYS if endless else KEYS - {"fd_inf_toy"})
    assert ("note" in result["fd_toy"]) is not endless
    for name, metric in result.items():
        assert set(metric) - {"note"} == {"value", "low", "high", "null", "better"}
        numbers = [metric[key] for key in ("value", "low", "high", "null")]
        assert np.isfinite(numbers).all(), name
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["low"] < metric["high"]
        if not name.startswith(("kid", "fd_inf")):
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
        "fd_inf_toy": "lower",
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
    result = quality(features, features, patients, features, pixels, pixels, feature_name="toy", seed=0)
    check(result)
    assert result["fd_toy"]["value"] == pytest.approx(0, abs=1e-9)
    assert result["precision"]["value"] == result["coverage"]["value"] == 1
    assert result["precision"]["low"] < 1  # Wilson's, where no replicate differs


def test_the_floor_has_no_more_images_than_the_generator_gave():
    fake, real, floor = draw(20, 0), draw(50, 1), draw(400, 2)
    arguments = (fake[0], real[0], np.arange(50), floor[0], fake[1], real[1])
    matched = quality(*arguments, feature_name="toy", seed=0)["fd_toy"]["null"]
    twenty = [frechet_distance(floor[0][start : start + 20], real[0]) for start in range(0, 400, 20)]
    assert min(twenty) <= matched <= max(twenty)
    assert matched > frechet_distance(floor[0], real[0])


@pytest.mark.parametrize(("n", "m", "f", "patients"), [(16, 8, 8, 3), (16, 16, 6, 2), (6, 6, 6, 6)])
def test_smoke_sizes_give_finite_intervals(n, m, f, patients):
    result = measure(n, m, f, patients=patients)
    check(result, endless=False)
    assert "an extrapolation in 6 dimensions needs 14" in result["fd_toy"]["note"]


def test_endless_distance_is_that_of_the_populations():
    results = [measure(40, 40, 40, draws=i, patients=40, shift=0.5) for i in range(30)]
    truth = 6 * 0.5**2
    hits = sum(result["fd_inf_toy"]["low"] <= truth <= result["fd_inf_toy"]["high"] for result in results)
    assert hits >= 25  # 0.95 of 30 is 28.5; three standard errors below
    nulls = [result["fd_inf_toy"]["null"] for result in results]
    assert abs(np.mean(nulls)) < 4 * np.std(nulls) / np.sqrt(30)
    assert np.mean([result["fd_toy"]["null"] for result in results]) > 0.3
    assert results[0] == measure(40, 40, 40, draws=0, patients=40, shift=0.5)


def test_deviations_make_up_the_variance_of_the_distance():
    fake, real, floor = draw(60, 0, 0.5), draw(50, 1), draw(40, 2)
    patients = np.arange(50)
    made = measure_quality(fake[0], real[0], patients, floor[0], fake[1], real[1], feature_name="toy", seed=0)
    metric, found = made.metrics["fd_toy"], made.deviations
    variances = [np.mean(found[name] ** 2) for name in ("by_samples", "by_patients")]
    total = sum(variances)
    freedom = total**2 / sum(variance**2 / 19 for variance in variances)  # twenty blocks of either
    assert metric["high"] - metric["value"] == pytest.approx(stats.t.ppf(0.975, freedom) * total**0.5)


def test_deviations_of_a_difference_are_the_differences():
    """Against a jackknife of the difference itself, with the same blocks of the shared set."""
    (first, pixels), (second, _), (real, more) = draw(60, 0, 0.5), draw(60, 3, 0.3), draw(50, 1)
    apart = [
        measure_quality(fake, real, np.arange(50), real, pixels, more, feature_name="toy", seed=0).deviations[
            "by_patients"
        ]
        for fake in (first, second)
    ]

    def difference(index):
        return frechet_distance(first, real[index[1]]) - frechet_distance(second, real[index[1]])

    whole = block_jackknife(difference, [np.arange(60), np.arange(50)], seed=0)
    assert apart[0] - apart[1] == pytest.approx(whole.deviations[1]["value"])


def test_further_features():
    fake, real, floor = draw(60, 0), draw(50, 1), draw(40, 2)
    for name, keys in (
        ("other", {"fd_other", "fd_inf_other", "kid_other"}),
        ("inception", {"fid", "fid_inf", "kid_inception"}),
    ):
        result = measure_distances(fake[0], real[0], floor[0], np.arange(50), feature_name=name, seed=0)
        assert set(result) == keys
        assert all(metric["low"] < metric["value"] < metric["high"] for metric in result.values())
    few = measure_distances(fake[0], real[0], floor[0][:8], np.arange(50), feature_name="other", seed=0)
    assert set(few) == {"fd_other", "kid_other"}
    assert "no fd_inf_other: the smallest set holds 8 images" in few["fd_other"]["note"]


@pytest.mark.parametrize("mean", [1e4, 1e6])
def test_extreme_means_change_nothing_but_the_kernel(mean):
    fake, real, floor = (np.round(draw(n, seed)[0] * 64) / 64 for n, seed in ((30, 0), (30, 1), (30, 2)))
    pixels = draw(30, 0)[1]

    def at(shift):
        sets = (fake + shift, real + shift, np.arange(30), floor + shift, pixels, pixels)
        return quality(*sets, feature_name="toy", seed=0)

    plain, far = at(0), at(mean)
    check(far)
    for name in KEYS - {"kid_toy"}:
        for key in ("value", "low", "high", "null"):
            assert far[name][key] == pytest.approx(plain[name][key], rel=1e-6, abs=1e-9)


def test_every_image_ten_times_and_fewer_images_than_dimensions():
    rng = np.random.default_rng(0)
    fake, real, floor = (rng.normal(size=(20, 50)) for _ in range(3))
    pixels = rng.random((20, 16, 16))

    def at(times):
        many, images = (np.repeat(rows, times, axis=0) for rows in (real, pixels))
        patients = np.repeat(np.arange(20), times)
        return quality(fake, many, patients, floor, pixels, images, feature_name="toy", seed=0)

    once, ten = at(1), at(10)
    check(once, endless=False)
    check(ten, endless=False)
    for name in ("precision", "recall", "density", "coverage"):
        for key in ("value", "low", "high", "null"):
            assert ten[name][key] == pytest.approx(once[name][key], rel=1e-9)


def test_constant_features_of_all_sets():
    ones, pixels = np.ones((20, 4)), np.full((20, 16, 16), 0.5)
    result = quality(ones, ones, np.arange(20), ones, pixels, pixels, feature_name="toy", seed=0)
    assert set(result) == KEYS
    values = {name: metric["value"] for name, metric in result.items()}
    assert values == pytest.approx(
        {
            "fd_toy": 0,
            "fd_inf_toy": 0,
            "kid_toy": 0,
            "precision": 1,
            "recall": 1,
            "density": 1,
            "coverage": 1,
            "ms_ssim": 1,
        }
    )
    assert all(np.isfinite([metric[key] for key in ("low", "high", "null")]).all() for metric in result.values())


def test_collapsed_and_constant_generators_give_finite_intervals():
    real, floor = draw(30, 1), draw(30, 2)
    features, pixels = np.zeros((20, 6)), np.full((20, 24, 24), 0.5, dtype=np.float32)
    result = quality(features, real[0], np.arange(30), floor[0], pixels, real[1], feature_name="toy", seed=0)
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
    with pytest.raises(DataError, match="1 generated images have no 5"):
        measure(n=1)
    with pytest.raises(DataError, match="3 real images of other patients are too few for the floor"):
        measure(f=3)
    with pytest.raises(DataError, match="needs two patients"):
        measure_distances(*(draw(9, seed)[0] for seed in range(3)), np.zeros(9), feature_name="toy", seed=0)
    with pytest.raises(DataError, match="two images at least, not 1"):
        measure_distances(*(draw(n, 0)[0] for n in (1, 9, 9)), np.arange(9), feature_name="toy", seed=0)
    fake, real = draw(20, 0), draw(20, 1)
    with pytest.raises(DataError, match="one of each per image"):
        quality(fake[0], real[0], np.arange(19), real[0], fake[1], real[1], feature_name="toy", seed=0)
