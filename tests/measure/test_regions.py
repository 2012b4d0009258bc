"""Regions of planted truth: those that are copied are called and named, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.images import Images
from memobench.measure.region_words import RegionFindings, parts_words, region_findings, region_rows
from memobench.measure.regions import Known, Regions, measure_regions, recorded_regions
from memobench.memorization.shift import Shift
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHIFT = Shift(exchangeable=True, p_value=1.0, auc=0.5)


@pytest.fixture(scope="module", autouse=True)
def few_planted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memobench.challenge.planted_parts.SHARES", {2: (0.5, 0.25), 3: (0.5,)})
        patch.setattr("memobench.challenge.planted_parts.COUNT", {2: 5, 3: 4})
        yield


def patients(name: str, count: int, seed: int, shape: tuple[int, ...] = (32, 32)) -> Images:
    """One body for all, with fine detail of each one's own."""
    rng = np.random.default_rng(seed)
    common = gaussian_filter(np.random.default_rng(99).random(shape), 3)
    own = np.stack([gaussian_filter(rng.random(shape), 0.7) for _ in range(count)])
    pixels = np.clip(4 * (common - 0.5) + 2.5 * (own - 0.5) + 0.5, 0, 1).astype(np.float32)
    names = np.array([f"{name}{k:02d}" for k in range(count)])
    return Images(pixels, names, names)


TRAIN, HOLDOUT, OTHERS = patients("t", 30, 1), patients("h", 30, 2), patients("o", 40, 3)


def measured(
    samples: NDArray[np.float32], holdout: Images | None = HOLDOUT, blank: NDArray[np.bool_] | None = None
) -> Regions:
    nothing = np.zeros(len(samples), dtype=bool) if blank is None else blank
    return measure_regions(samples, TRAIN, holdout, Known(SHIFT, None, nothing))


def with_halves(of: Images, count: int) -> NDArray[np.float32]:
    made = OTHERS.pixels.copy()
    made[:count, :, 16:] = of.pixels[:count, :, 16:]
    return made


def test_halves_of_training_patients_are_named_with_their_boxes() -> None:
    found = measured(with_halves(TRAIN, 6))
    rate = found.metrics["region_copy_rate"]
    assert rate.value == pytest.approx(0.15, abs=0.03)
    assert rate.null == 0
    assert rate.p_value is not None
    assert rate.p_value < 0.05
    record = recorded_regions(found, TRAIN)
    assert {call.sample for call in record.calls} == set(range(6))
    assert all(call.patient == f"t{call.sample:02d}" and call.image == call.sample for call in record.calls)
    assert all(call.box[1][0] >= 8 and 0.2 < call.share <= 0.75 for call in record.calls)
    assert record.train.groups == 6
    assert record.train.p_count < 1e-3
    assert record.holdout.called == 0
    findings = region_findings(record, {0, 1})
    assert (findings.called, findings.further) == (4, 4)
    assert region_rows(record)[0] in range(6)
    assert found.metrics["smallest_region"].value in (0.5, 0.25)


def test_halves_of_held_out_patients_are_a_leak_and_no_copy() -> None:
    record = recorded_regions(measured(with_halves(HOLDOUT, 6)), TRAIN)
    assert record.train.called == 0
    assert record.holdout.groups == 6
    assert record.holdout.p_count < 1e-3
    assert all(call.image == -1 and call.patient == "" and call.source == [] for call in record.calls)


def test_new_patients_sharp_or_blurred_are_not_accused() -> None:
    for sigma in (0.0, 1.5):
        samples = np.stack([gaussian_filter(one, sigma) for one in OTHERS.pixels])
        found = measured(samples)
        record = recorded_regions(found, TRAIN)
        assert record.train.called + record.holdout.called <= 1, sigma
        assert record.train.certain + record.holdout.certain == 0
        assert abs(found.metrics["region_copy_rate"].value) <= 0.05


def test_a_blurred_copy_is_found_at_its_own_sharpness() -> None:
    samples = OTHERS.pixels.copy()
    samples[:6] = np.stack([gaussian_filter(one, 1.5) for one in TRAIN.pixels[:6]])
    record = recorded_regions(measured(samples), TRAIN)
    assert {call.sample for call in record.calls if call.image == call.sample} >= set(range(5))


def test_the_low_frequencies_of_a_patient_under_a_strangers_detail_are_a_match_of_the_whole_image() -> None:
    soft = [np.stack([gaussian_filter(one, 1.2) for one in of.pixels]) for of in (TRAIN, OTHERS)]
    samples = OTHERS.pixels.copy()
    samples[:8] += soft[0][:8] - soft[1][:8]  # of training patients
    samples[8:] += np.roll(soft[1], 5, axis=0)[8:] - soft[1][8:]  # of other strangers
    found = measured(np.clip(samples, 0, 1))
    record = recorded_regions(found, TRAIN)
    assert {call.sample for call in record.calls if call.image == call.sample} >= set(range(6))
    assert {call.sample for call in record.calls} <= set(range(8))
    assert all(call.share == 1 and call.box == [(0, 32), (0, 32)] for call in record.calls)
    assert record.train.p_count < 1e-3


def test_without_held_out_patients_and_with_samples_that_show_nothing() -> None:
    samples = with_halves(TRAIN, 6)
    samples[6:8] = 0.5
    blank = np.isin(np.arange(40), [6, 7])
    found = measured(samples, None, blank)
    assert found.searched == 38
    record = recorded_regions(found, TRAIN)
    assert {call.sample for call in record.calls} == set(range(6))
    assert found.metrics["region_copy_rate"].value > 0.1
    with pytest.raises(DataError, match="anything to compare"):
        measured(samples, HOLDOUT, np.ones(40, dtype=bool))


def test_of_many_samples_some_are_searched_and_the_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.measure.regions.PAIRS", 60 * 10)
    found = measured(OTHERS.pixels)
    assert found.searched == 10
    assert found.notes == ["regions were searched in 10 of the 40 images, drawn at random"]


def test_volumes() -> None:
    shape = (16, 16, 16)
    train, holdout, others = (patients(name, 14, seed, shape) for name, seed in (("t", 1), ("h", 2), ("o", 3)))
    samples = others.pixels.copy()
    samples[:4, 8:] = train.pixels[:4, 8:]
    known = Known(SHIFT, None, np.zeros(14, dtype=bool))
    record = recorded_regions(measure_regions(samples, train, holdout, known), train)
    assert {call.sample for call in record.calls if call.image == call.sample} >= {0, 1, 2, 3}


def test_words_of_parts() -> None:
    assert parts_words([]) == "No parts were planted to see what is found of them."
    assert "not even a copied half" in parts_words([(0.5, 0.5), (0.25, 0.9)])
    assert "smaller parts were not tried" in parts_words([(0.5, 1.0)])
    assert RegionFindings(0).further == 0
