from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.authenticity import authenticity
from memobench.memorization.c_t import c_t
from memobench.memorization.fld import fld_gap
from memobench.memorization.l2_ratio import calibrated_threshold, l2_ratio
from memobench.memorization.other_scores import other_scores
from memobench.results import Metric

NAMES = ["authenticity", "c_t", "fld_gap", "l2_ratio_copies"]


def _draw(
    seed: int, planted: float = 0.0, *, n: int = 120, images: int = 120, dimension: int = 24, spread: float = 1.0,
    collapsed: int = 0,
) -> tuple[list[np.ndarray], dict[str, Any]]:  # fmt: skip
    """Generated, train, holdout and test features; two scans to a patient."""
    rng = np.random.default_rng(seed)
    real, patients = [], []
    for side in ("t", "h", "e"):
        owner = np.arange(images) // 2
        centres = rng.normal(size=(images, dimension))[owner]
        real.append(0.7 * centres + 0.7 * rng.normal(size=(images, dimension)))
        patients.append(np.char.add(side, owner.astype(str)))
    made = spread * rng.normal(size=(n, dimension))
    if collapsed:
        made = made[rng.integers(collapsed, size=n)] + 0.01 * rng.normal(size=made.shape)
    copies = round(planted * n)
    made[:copies] = real[0][rng.integers(images, size=copies)] + 0.02 * rng.normal(size=(copies, dimension))
    names = ["train_patients", "holdout_patients", "test_patients"]
    return [made, *real], {**dict(zip(names, patients, strict=True)), "seed": seed}


def _check(metrics: dict[str, Metric]) -> None:
    assert list(metrics) == [name for pair in ((n, f"{n}_of_holdout") for n in NAMES) for name in pair]
    for name in NAMES:
        metric = metrics[name]
        assert metric.null is not None
        if metric.low is not None:
            assert metric.high is not None
            assert metric.low <= metric.value <= metric.high
    for name in ("authenticity", "l2_ratio_copies"):
        assert 0 <= metrics[name].value <= 1


def _all(sets: list[np.ndarray]) -> list[float]:
    generated, train, holdout, test = sets
    threshold = calibrated_threshold(l2_ratio(holdout, train)[0])[0]
    return [
        authenticity(generated, train),
        c_t(generated, train, test),
        fld_gap(generated, train, test),
        float((l2_ratio(generated, train)[0] < threshold).mean()),
    ]


def test_power_of_each_score_at_five_percent_planted() -> None:
    # Field-notes 4, small: means with and without copies in the same draws, against the spread between draws.
    draws = range(15)
    null, planted = (np.array([_all(_draw(seed, share)[0]) for seed in draws]) for share in (0.0, 0.05))
    z = (planted.mean(axis=0) - null.mean(axis=0)) / null.std(axis=0, ddof=1)
    assert -3 < z[0] < -0.2  # authenticity and C_T move the right way, by less than a draw's spread or two
    assert -3 < z[1] < -0.2
    assert z[2] > 5  # the gap and the ratio see six copies in 120
    assert z[3] > 3
    assert planted[:, 3].mean() == pytest.approx(0.05 + null[:, 3].mean(), abs=0.01)


def test_the_value_without_memorization_is_about_the_null_and_about_that_of_holdout() -> None:
    rows = []
    for seed in range(12):
        sets, options = _draw(seed)
        metrics = other_scores(*sets, **options)
        _check(metrics)
        rows.append([[metrics[n].value, metrics[n].null, metrics[f"{n}_of_holdout"].value] for n in NAMES])
    values = np.array(rows)
    for other in (1, 2):
        differences = values[:, :, 0] - values[:, :, other]
        error = differences.std(axis=0, ddof=1) / 12**0.5
        assert (np.abs(differences.mean(axis=0)) < 3.5 * error).all()


def test_a_blurry_generator_differs_from_the_null_and_not_from_holdout() -> None:
    sets, options = _draw(3, spread=0.5)
    metrics = other_scores(*sets, **options)
    for name in ("authenticity", "c_t"):
        metric = metrics[name]
        assert metric.high is not None
        assert metric.null is not None
        assert metric.low is not None
        assert metric.high < metric.null  # "copies", of a generator that memorized nothing
        assert metric.low <= metrics[f"{name}_of_holdout"].value <= metric.high


def test_a_collapsed_generator_is_five_observations() -> None:
    held = dict.fromkeys(NAMES, 0)
    for seed in range(10):
        sets, options = _draw(seed, collapsed=5)
        for name, metric in other_scores(*sets, **options).items():
            if name in held:
                assert metric.low is not None
                assert metric.high is not None
                assert metric.null is not None
                held[name] += metric.low <= metric.null + 1e-12 and metric.null <= metric.high
    assert min(held.values()) >= 7


def test_generated_equal_to_train() -> None:
    sets, options = _draw(4)
    metrics = other_scores(sets[1], *sets[1:], **options)
    _check(metrics)
    assert metrics["authenticity"].value == 0.0
    assert metrics["l2_ratio_copies"].value == 1.0
    assert metrics["c_t"].value < -5
    assert metrics["fld_gap"].value > 1000
    for name in NAMES:
        other = metrics[f"{name}_of_holdout"].value
        assert abs(other - (metrics[name].null or 0.0)) < abs(other - metrics[name].value)


def test_all_samples_of_one_image_have_no_interval_of_a_jackknife() -> None:
    sets, options = _draw(5)
    metrics = other_scores(np.repeat(sets[1][:1], 30, axis=0), *sets[1:], **options)
    _check(metrics)
    assert metrics["authenticity"].high is not None
    assert metrics["authenticity"].high > 0.9  # one patient is one observation
    assert metrics["c_t"].low is None
    assert metrics["fld_gap"].low is None


def test_few_images_many_duplicates_and_extreme_means() -> None:
    sets, options = _draw(6, n=2, images=8)
    _check(other_scores(*sets, **options))
    sets, options = _draw(6, n=40, images=40, dimension=100)  # N < D
    plain = other_scores(*sets, **options)
    _check(plain)
    moved = other_scores(*[rows + 1e6 for rows in sets], **options)
    for name in NAMES:
        assert moved[name].value == pytest.approx(plain[name].value, rel=1e-3, abs=1e-3)
    repeated = {key: np.repeat(value, 10) if key == "train_patients" else value for key, value in options.items()}
    tenfold = other_scores(sets[0], np.repeat(sets[1], 10, axis=0), *sets[2:], **repeated)
    for name in ("authenticity", "l2_ratio_copies", "fld_gap"):
        assert tenfold[name].value == pytest.approx(plain[name].value, rel=1e-3, abs=1e-3)


def test_same_seed_same_scores() -> None:
    sets, options = _draw(7, n=40, images=60)
    assert other_scores(*sets, **options) == other_scores(*sets, **options)


def test_what_cannot_be_measured_is_refused() -> None:
    sets, options = _draw(8, n=30, images=20)
    with pytest.raises(DataError, match="NaN"):
        other_scores(sets[0] * np.nan, *sets[1:], **options)
    with pytest.raises(DataError, match="1 generated"):
        other_scores(sets[0][:1], *sets[1:], **options)
    with pytest.raises(DataError, match="1 different image"):
        other_scores(sets[0], sets[1] * 0, *sets[2:], **{**options, "train_patients": np.arange(20)})
    with pytest.raises(DataError, match="train holds 1 patient"):
        other_scores(*sets, **{**options, "train_patients": np.full(20, "a")})
    with pytest.raises(DataError, match="3 patients of 20 holdout"):
        other_scores(*sets, **{**options, "holdout_patients": np.array(["a", "b", "c"])})
