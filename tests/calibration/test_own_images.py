from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.calibration.own_images import SHARES, Stock, calibrate_stock, own_images_text, take_stock
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.generator import Context
from memobench.images import Images
from memobench.task import Splits


def made_stock(found: float = 0.9, false: float = 0.0, patients: int = 160, seed: int = 0) -> Stock:
    """Copies that reach tau with a probability and match their source, and others that reach it with another."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"p{k:03d}" for k in range(patients)], 2)
    source = rng.integers(len(names), size=1200)
    copy_score = np.where(rng.random(1200) < found, 1.0, -1.0) + 0.1 * rng.random(1200)
    other_score = np.where(rng.random(600) < false, 1.0, -1.0) + 0.1 * rng.random(600)
    match = np.where(copy_score > 0, source, rng.integers(len(names), size=1200))
    return Stock(
        names,
        np.arange(len(names)) < len(names) // 2,
        0.5,
        2,
        12,
        source,
        copy_score.astype(np.float32),
        match,
        other_score.astype(np.float32),
        rng.integers(len(names), size=600),
    )


@pytest.mark.smoke
def test_a_perfect_detector_reads_what_was_planted() -> None:
    found = calibrate_stock(made_stock(found=1.0), draws=25, shares=(0.0, 0.05, 0.5))
    for row in found.rows:
        assert row.mean == pytest.approx(row.truth, rel=0.1, abs=0.002)
        assert row.covered >= 0.8
        assert row.seen == (1.0 if row.share else 0.0)
    assert [row.false for row in found.discoveries] == [0, 0, 0]
    assert found.sensitivity == 1


def test_a_blind_detector_is_right_once_corrected() -> None:
    found = calibrate_stock(made_stock(found=0.6), draws=25, shares=(0.2,))
    rate = found.rows[0]
    assert rate.mean == pytest.approx(0.12, rel=0.1)
    assert rate.covered <= 0.2
    assert rate.corrected_mean == pytest.approx(0.2, rel=0.1)
    assert rate.corrected_covered is not None
    assert rate.corrected_covered >= 0.8


def test_a_kind_of_copy_that_is_missed_is_planted_and_measured_alike() -> None:
    stock = made_stock(found=1.0)
    missed = np.arange(1200) % 12 == 10  # one kind of perturbation of twelve
    score = np.where(missed, -1.0, stock.copy_score).astype(np.float32)
    found = calibrate_stock(replace(stock, copy_score=score), draws=25, shares=(0.5,))
    rate = found.rows[0]
    assert rate.mean == pytest.approx(0.5 * 11 / 12, rel=0.04)
    assert rate.corrected_mean == pytest.approx(0.5, rel=0.04)
    assert rate.corrected_covered is not None
    assert rate.corrected_covered >= 0.8


def test_false_discoveries_are_counted_and_expected() -> None:
    found = calibrate_stock(made_stock(false=0.05), draws=25, shares=(0.0, 0.05))
    for row in found.discoveries:
        assert row.false > 3  # about fifteen others match somebody of train, again and again
        assert row.expected == pytest.approx(row.false, rel=0.25)
        assert row.bound >= 0.8 * row.false
    assert found.discoveries[0].seen <= 0.25
    assert found.discoveries[0].false == found.discoveries[0].listed
    assert found.rows[0].covered >= 0.8


def test_nothing_found_is_not_corrected() -> None:
    found = calibrate_stock(made_stock(found=0.0), draws=2, shares=(0.05,))
    assert found.rows[0].corrected_mean is None
    assert found.rows[0].corrected_covered is None
    assert "nothing" not in own_images_text(found)


def test_the_seed_decides() -> None:
    one, two, other = (calibrate_stock(made_stock(), draws=3, shares=(0.05,), seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one != other
    assert json.loads(json.dumps(one.as_json()))["draws"] == 3


def test_one_draw_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        calibrate_stock(made_stock(), draws=1)


def test_the_tables_have_a_row_for_each_share() -> None:
    text = own_images_text(calibrate_stock(made_stock(), draws=2))
    assert all(text.count(f"{100 * share:g}% ") >= 3 for share in SHARES)


@pytest.mark.slow
def test_a_stock_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COPIES", "STRANGERS"):
        monkeypatch.setattr(f"memobench.calibration.own_images.{name}", {2: 48, 3: 24})
    rng = np.random.default_rng(0)

    def patients(name: str, count: int) -> Images:
        pixels = rng.random((count, 8, 8)).astype(np.float32).repeat(4, axis=1).repeat(4, axis=2)
        owners = np.array([f"{name}{number:02d}" for number in range(count)])
        return Images(pixels, owners, owners)

    splits = Splits(patients("t", 20), patients("h", 20), patients("e", 20), None, patients("f", 8), digest="0" * 64)
    parameters = replace(EmbeddingParameters.preset("smoke"), steps=2)
    detector = Detector.fit(splits.train.joined(splits.holdout), None, parameters, context=Context(0))
    stock = take_stock(detector, splits)
    assert len(stock.copy_score) == 48
    assert len(stock.other_score) == 28  # there are no more
    assert stock.dim == 2
    assert (stock.copy_match == stock.source).mean() > 0.8
    assert np.median(stock.copy_score) > stock.tau > np.median(stock.other_score)
    again = take_stock(detector, splits)
    assert np.array_equal(again.copy_score, stock.copy_score)
