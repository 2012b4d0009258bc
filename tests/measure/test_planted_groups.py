"""Planted groups: who is copied, what counts as found, and what is then said of the counts."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.images import Images
from memobench.measure.decision import Findings, decide_set
from memobench.measure.planted_groups import Limits, groups_found, marked, plant_groups
from memobench.measure.region_search import Ground
from memobench.measure.region_words import RegionFindings, groups_words
from memobench.report.words import shown_interval, shown_value
from memobench.results import GroupFound, Metric
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def patients(name: str, count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    common = gaussian_filter(np.random.default_rng(99).random((32, 32)), 3)
    own = np.stack([gaussian_filter(rng.random((32, 32)), 0.7) for _ in range(count)])
    pixels = np.clip(4 * (common - 0.5) + 2.5 * (own - 0.5) + 0.5, 0, 1).astype(np.float32)
    names = np.array([f"{name}{k:02d}" for k in range(count)])
    return Images(pixels, names, names)


TRAIN, HOLDOUT = patients("t", 12, 1), patients("h", 12, 2)


@pytest.mark.parametrize("holdout", [HOLDOUT, None])
def test_bodies_are_of_other_patients_than_those_copied(holdout: Images | None) -> None:
    planted = plant_groups(TRAIN, holdout, 64)
    assert planted is not None
    assert len(planted.chosen) == 4  # few null images: only the path is tested
    both = TRAIN if holdout is None else TRAIN.joined(holdout)
    for sources, body in zip(planted.sources, planted.body, strict=True):
        assert both.patients[body] not in TRAIN.patients[sources]
        assert (body >= len(TRAIN)) == (holdout is not None)
    every = plant_groups(TRAIN, holdout, None)
    assert every is not None
    assert len(every.chosen) > 20
    assert len(every.pixels) == 5 * len(every.chosen)
    composite = [k for k, one in enumerate(every.chosen) if one.both]
    twice = every.sources[:, 0] != every.sources[:, 1]
    np.testing.assert_array_equal(np.unique(every.group[twice]), composite)


def test_too_few_patients_plant_nothing() -> None:
    assert plant_groups(TRAIN.take(np.arange(2)), HOLDOUT, None) is None


def test_a_copy_counts_as_found_by_either_way_and_only_with_its_patient() -> None:
    planted = plant_groups(TRAIN, HOLDOUT, 64)
    assert planted is not None
    ground = Ground(TRAIN.joined(HOLDOUT), np.arange(24), most=24)

    def right(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return np.ones(len(pixels), np.float32), planted.sources[:, 0]

    def wrong(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return np.ones(len(pixels), np.float32), (planted.sources[:, 1] + 1) % 12

    never = Limits(2.0, 1e9)
    assert [one.found for one in groups_found(planted, ground, right, Limits(0.5, 1e9))] == [1.0] * 4
    assert [one.found for one in groups_found(planted, ground, wrong, Limits(0.5, 1e9))] == [0.0] * 4
    assert [one.found for one in groups_found(planted, ground, right, never)] == [0.0] * 4
    by_region = groups_found(planted, ground, wrong, Limits(0.5, float(np.max(ground.null().scores))))
    assert by_region[0].name == "half"
    assert by_region[0].found == 1.0


def test_counts_are_an_at_least_where_a_group_is_missed() -> None:
    rate = Metric(value=0.1, low=0.05, high=0.2, null=0.0, better="lower", note="corrected for a sensitivity of 0.9")
    metrics = {"copy_rate": rate, "copy_rate_corrected": rate}
    found = [GroupFound(name=name, kind="region", found=share, count=5) for name, share in (("a", 1.0), ("b", 0.2))]
    assert marked(metrics, found[:1]) == metrics
    said = marked(metrics, found)
    assert said["copy_rate"] == rate
    assert said["copy_rate_corrected"].note == (
        "at least: copies of some kinds are found less often (b); corrected for a sensitivity of 0.9"
    )
    assert shown_value("copy_rate_corrected", said["copy_rate_corrected"]) == "at least 10.0%"
    assert shown_interval("copy_rate_corrected", said["copy_rate_corrected"]) == "5.0% or more"


def test_the_decision_names_what_is_not_found() -> None:
    regions = RegionFindings(300, groups=(("half", 1.0), ("tenth", 0.4)))
    decision = decide_set(Findings(images=300, holdout_patients=50, regions=regions))
    assert decision.word == "no copies found"
    assert "Planted copies not found reliably: tenth (40%)." in decision.sentence
    assert groups_words([("half", 1.0), ("text", 0.8)]).startswith("Of each of 2 kinds")
    assert groups_words([]) == ""
