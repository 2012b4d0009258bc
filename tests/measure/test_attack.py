"""What an attack finds where the truth is known: copies, no copies, and a detector that knows the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.progress import silent
from memobench.base.store import Store
from memobench.detection.detectors._pairs import PairDetector
from memobench.detection.detectors.l2 import L2
from memobench.images import Images
from memobench.measure.attack import Attacked, fit_blind, knowing, measure_attack
from memobench.measure.blind import BlindPool, exact_limit
from memobench.memorization.decide import threshold
from memobench.task import Splits


@pytest.fixture
def splits(make_images: Callable[..., Images], monkeypatch: pytest.MonkeyPatch) -> Splits:
    monkeypatch.setattr("memobench.measure.attack.PLANTED", {2: 3})
    names = {"train": 24, "holdout": 24, "test": 40, "fresh": 20}
    sides = {name: make_images(count, (16, 16), seed=seed) for seed, (name, count) in enumerate(names.items())}
    return Splits(**sides, dev=None, digest="0" * 64)


def attacked(splits: Splits, samples: np.ndarray, kind: Any, store: Path) -> Attacked:
    pool = BlindPool.of(splits.train, splits.holdout)
    detector, _ = fit_blind(kind, pool, splits, preset="smoke", store=Store(store), device="cpu", track=silent)
    return measure_attack(samples, splits, detector, pool)


def strangers(make_images: Callable[..., Images], count: int) -> np.ndarray:
    return make_images(count, (16, 16), seed=99).pixels


def test_copies_are_found_and_counted(splits: Splits, make_images: Callable[..., Images], tmp_path: Path) -> None:
    samples = np.concatenate([splits.train.pixels[:20] * 0.99, strangers(make_images, 20)])
    found = attacked(splits, samples.astype(np.float32), L2, tmp_path)
    rate = found.metrics["copy_rate"]
    assert rate.value == pytest.approx(0.5)
    assert rate.p_value is not None
    assert rate.p_value < 0.001
    assert found.decisions.train_index[:20].tolist() == list(range(20))
    assert knowing(found.metrics) is None
    assert {"sensitivity", "memorized_patients", "copy_evidence", "memorized_ceiling"} <= {*found.metrics}
    assert found.challenge.thresholds["tau"] == found.threshold.tau


def test_tau_is_that_of_the_rule_on_all_real_images_of_both_sides(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    found = attacked(splits, strangers(make_images, 8), L2, tmp_path)
    both = splits.train.joined(splits.holdout)
    null, _ = L2().null_scores(both)
    assert np.sort(found.null_scores) == pytest.approx(np.sort(null))
    assert len(found.exact_scores) == len(both)
    limit = exact_limit(found.null_scores, found.exact_scores)
    assert found.threshold == threshold(found.null_scores, 1.0, highest=limit)
    assert found.arrays().keys() >= {"null", "exact", "train_score", "p_value"}


def test_a_tau_beyond_the_score_of_exact_copies_is_lowered_to_it(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    class Flat(PairDetector):
        """Hardly tells real images from exact copies, so that a fitted tail reaches beyond these."""

        def scores(self, queries: np.ndarray, pool: np.ndarray) -> Any:
            held = L2().scores(queries, pool)
            return lambda rows: -(held(rows) ** 8)

    samples = np.concatenate([splits.train.pixels[:12], strangers(make_images, 4)])
    found = attacked(splits, samples, Flat, tmp_path)
    assert found.threshold.capped
    assert found.threshold.tau < found.exact_scores.min()
    assert found.metrics["copy_rate"].value == pytest.approx(12 / 16)


def test_where_nothing_was_copied_nothing_is_found(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    found = attacked(splits, strangers(make_images, 40), L2, tmp_path).metrics
    assert found["copy_rate"].low is not None
    assert found["copy_rate"].low <= 0
    assert all(found[name].p_value > 0.01 for name in ("copy_rate", "copy_evidence", "train_share"))  # type: ignore[operator]


def test_one_who_favours_what_fit_called_train_gains_nothing(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    class Partial(PairDetector):
        """Prefers the images that it was given as "train", by far."""

        def fit(self, train: Images, holdout: Images, dev: Images | None, **_: Any) -> Partial:
            self.known = {image.tobytes() for image in train.pixels}
            return self

        def scores(self, queries: np.ndarray, pool: np.ndarray) -> Any:
            bonus = np.array([0.5 * (np.asarray(image).tobytes() in self.known) for image in pool])
            held = L2().scores(queries, pool)
            return lambda rows: held(rows) + bonus

    found = attacked(splits, strangers(make_images, 40), Partial, tmp_path).metrics
    assert found["copy_rate"].low is not None
    assert found["copy_rate"].low <= 0
    assert knowing(found) is None


def knower(train: Images) -> type[PairDetector]:
    """A detector that brought along who is a member, and lifts these a little."""
    known = {hashlib.sha256(image.tobytes()).hexdigest() for image in np.asarray(train.pixels)}

    class Knowing(PairDetector):
        def scores(self, queries: np.ndarray, pool: np.ndarray) -> Any:
            held = L2().scores(queries, pool)
            member = np.array([hashlib.sha256(np.asarray(image).tobytes()).hexdigest() in known for image in pool])
            return lambda rows: held(rows) + 0.05 * member

    return Knowing


def test_one_who_brought_the_labels_along_is_shown_by_new_patients(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    found = attacked(splits, strangers(make_images, 40), knower(splits.train), tmp_path)
    assert found.metrics["train_share"].p_value is not None
    assert found.metrics["train_share"].p_value < 0.005  # what would stand on the board
    reason = knowing(found.metrics)
    assert reason is not None
    assert "tells members from others without any copy" in reason
    lost = {name: metric for name, metric in found.metrics.items() if name != "train_share_of_strangers"}
    assert "train_share_of_strangers is missing" in str(knowing(lost))


def test_what_was_learned_is_kept_and_learned_from_halves(
    splits: Splits, make_images: Callable[..., Images], tmp_path: Path
) -> None:
    class Learned(PairDetector):
        TRAINED_AS = "learned"
        fits = 0

        def fit(self, train: Images, holdout: Images, dev: Images | None, **_: Any) -> Learned:
            type(self).fits += 1
            self.mean = np.asarray(train.pixels).mean(axis=0)
            return self

        def scores(self, queries: np.ndarray, pool: np.ndarray) -> Any:
            return L2().scores(queries - self.mean, pool - self.mean)

        def state(self) -> dict[str, Any]:
            return {"mean": self.mean}

        def restore(self, state: Any, *, preset: str, device: str = "cpu") -> Learned:
            self.mean = np.asarray(state["mean"])
            return self

    first, again = (attacked(splits, strangers(make_images, 8), Learned, tmp_path) for _ in range(2))
    assert Learned.fits == 1
    assert first.metrics == again.metrics
    assert np.array_equal(first.decisions.train_score, again.decisions.train_score)
