"""The parts of an audit: rates without a holdout, the decision in words, the cleaned set, the report, the memory."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.audit.clean import check_target, write_clean
from memobench.audit.remember import RememberingDetector
from memobench.audit.results import AuditedImage, decide_release, guarantee_words
from memobench.base.errors import DataError
from memobench.base.store import Store
from memobench.challenge.perturb import perturb
from memobench.detection.crossfit import Detector
from memobench.detection.overlay import overlay
from memobench.detection.parameters import EmbeddingParameters
from memobench.generator import Context
from memobench.images import Images
from memobench.memorization.without_holdout import rates_without_holdout, threshold_without_holdout
from memobench.results import Metric

Make = Callable[..., Images]


def metric(value: float, low: float | None = None, high: float | None = None, p: float | None = None) -> Metric:
    return Metric(value=value, low=low, high=high, null=0.0, better="lower", p_value=p)


def found(rate: Metric, evidence: float = 1.0, share: Metric | None = None) -> dict[str, Metric]:
    return {
        "copy_rate": rate,
        "memorized_patients": metric(12.0),
        "copy_evidence": metric(1.0, p=evidence),
        "train_share": share or metric(0.5, 0.4, 0.6, 0.5),
        "sensitivity": metric(0.97, 0.9, 0.99),
    }


# ------------------------------------------------------------------------------------------------- without a holdout


def test_without_holdout_a_null_is_covered_and_copies_are_counted() -> None:
    rng = np.random.default_rng(0)
    patients = np.array([f"p{k:03d}" for k in range(200)])
    null, rates = rng.normal(size=40_000), []
    limit = threshold_without_holdout(null, 1.0)
    assert limit.tail == 0.001
    assert limit.tau == pytest.approx(3.09, abs=0.15)  # the normal law's
    inside = 0
    for _ in range(200):
        score = np.where(np.arange(300) < 30, 10.0, rng.normal(size=300))
        metrics = rates_without_holdout(score, rng.integers(200, size=300), patients, limit, 0.001)
        rate = metrics["copy_rate"]
        rates.append(rate.value)
        assert rate.low is not None
        assert rate.high is not None
        inside += rate.low <= 0.1 <= rate.high
        assert 20 <= metrics["memorized_patients"].value <= 32
    assert np.mean(rates) == pytest.approx(0.1, abs=0.004)
    assert inside >= 180
    nothing = rates_without_holdout(rng.normal(size=300) - 5, np.zeros(300, int), patients, limit, 0.001)["copy_rate"]
    assert nothing.value == pytest.approx(-0.001)
    assert nothing.high is not None
    assert nothing.high < 1


# ----------------------------------------------------------------------------------------------- the decision in words


@pytest.mark.parametrize(
    ("metrics", "decision", "words"),
    [
        (found(metric(0.05, 0.03, 0.08, 0.0001), 0.0001), "do not release", "5.0 % of its 400 images are copies"),
        (found(metric(0.0, -0.01, 0.009, 0.6)), "release", "at most 0.9 % of them"),
        (found(metric(-0.05, -0.2, 0.0, 1.0)), "release", "at most 0.7 % of them"),
        (found(metric(0.0, -0.5, 0.4, 1.0)), "review", "even 40.0 % of them could be copies"),
        (found(metric(0.0, -0.01, 0.02, 0.4), 0.001), "do not release", "p = 0.0020"),
        (found(metric(0.0, 0.0, 0.01, 0.9), 0.3, metric(0.7, 0.6, 0.8, 0.001)), "review", "70.0 % are nearer"),
    ],
)
def test_the_decision_follows_the_evidence(metrics: dict[str, Metric], decision: str, words: str) -> None:
    decided, sentence = decide_release(metrics, 400)
    assert decided == decision
    assert words in sentence


def test_one_exact_copy_is_enough_and_listed_images_are_mentioned() -> None:
    nothing = found(metric(0.0, -0.01, 0.009, 0.6))
    decided, sentence = decide_release(nothing, 400, exact=1, called=1)
    assert decided == "do not release"
    assert "of its 400 images, 1 is pixel for pixel a training image" in sentence
    assert "of all, up to 0.9 % may be copies" in sentence
    decided, sentence = decide_release(found(metric(0.05, 0.03, 0.08, 0.0002)), 400, exact=1, called=20)
    assert decided == "do not release"
    assert "5.0 % of its 400 images are copies of training patients" in sentence
    assert "1 is pixel for pixel a training image, but for brightness and contrast" in sentence
    decided, sentence = decide_release(nothing, 400, called=2)
    assert decided == "release"
    assert sentence.endswith("2 reach the threshold of a copy, which chance explains: look at what is listed.")


@pytest.mark.smoke
def test_one_image_is_never_released_unseen() -> None:
    decided, sentence = decide_release(found(metric(0.0, -0.95, 0.95, 1.0)), 1)
    assert decided == "review"
    assert "among 1 image, but that is too little to tell: even 95.0 % of them" in sentence


def test_without_holdout_nothing_is_released_unseen() -> None:
    only = {"copy_rate": metric(0.0, -0.001, 0.01), "memorized_patients": metric(0.0)}
    assert decide_release(only, 100)[0] == "review"
    assert decide_release({**only, "copy_rate": metric(0.1, 0.05, 0.2)}, 100)[0] == "do not release"
    words = guarantee_words({"sensitivity": metric(0.9)}, 0, patients_known=False)
    assert "no exact test is possible" in words
    assert "intervals are too narrow" in words
    assert "90.0 %" in words


# ----------------------------------------------------------------------------------------------------- the cleaned set


def image(name: str, *, left_out: bool, score: float = 1.0, copy_of: str | None = None) -> AuditedImage:
    return AuditedImage(name=name, score=score, p_value=0.1, copy_of=copy_of, match="t.png", left_out=left_out)


def test_safe_files_are_copied_byte_for_byte(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "sub dir").mkdir(parents=True)
    names = ["a.png", "sub dir/中文.png", "b.dcm", "<b>.png"]
    for name in names:
        (root / name).write_bytes(name.encode())
    images = [
        image("a.png", left_out=False),
        image("sub dir/中文.png", left_out=False),
        image("b.dcm#0", left_out=False),
        image("b.dcm#1", left_out=True, score=4.0, copy_of="p1"),  # one frame of two spoils the file
        image("<b>.png", left_out=True, score=2.0),
    ]
    files = [("a.png",), ("sub dir/中文.png",), ("b.dcm",), ("b.dcm",), ("<b>.png",)]
    cleaned = write_clean(tmp_path / "out", root, images, files)
    assert (cleaned.kept, cleaned.left_out) == (2, 2)
    assert (tmp_path / "out" / "sub dir" / "中文.png").read_bytes() == "sub dir/中文.png".encode()
    assert not (tmp_path / "out" / "b.dcm").exists()
    with (tmp_path / "out" / "left_out.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["file"] for row in rows] == ["b.dcm", "<b>.png"]
    assert rows[0]["reason"] == "copy of patient p1"


def test_a_target_that_holds_something_or_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(DataError, match="not an empty folder"):
        check_target(tmp_path / "full", [])
    with pytest.raises(DataError, match="lies within"):
        check_target(tmp_path / "in" / "clean", [tmp_path / "in"])
    check_target(tmp_path / "new", [tmp_path / "in"])


# ------------------------------------------------------------------------------------------------- memory and overlay


@pytest.fixture(scope="module")
def detector() -> tuple[Detector, Images]:
    rng = np.random.default_rng(0)
    coarse = rng.random((16, 8, 8)).astype(np.float32).repeat(4, axis=1).repeat(4, axis=2)
    names = np.array([f"p{k:02d}" for k in range(16)])
    images = Images(coarse, names, names)
    parameters = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=2, batch=8, planted=24)
    return Detector.fit(images, None, parameters, context=Context(0)), images


def test_what_was_matched_is_not_matched_again(
    detector: tuple[Detector, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, images = detector
    monkeypatch.setattr("memobench.audit.remember.KEPT", 5)
    monkeypatch.setattr("memobench.audit.remember.LEAST", 3)
    asked: list[int] = []
    original = Detector.match

    def counted(self: Detector, queries: Any, pool: Images, **more: Any) -> Any:
        asked.append(len(queries))
        return original(self, queries, pool, **more)

    monkeypatch.setattr(Detector, "match", counted)
    remembering = RememberingDetector.of(plain, Store(tmp_path), "first")
    one = remembering.match(images.pixels[:12], images)
    assert asked == [3, 3, 3, 3]
    two = RememberingDetector.of(plain, Store(tmp_path), "first").match(images.pixels[:12], images)
    assert asked == [3, 3, 3, 3]
    assert np.array_equal(one.score, two.score)
    assert one.index[:, 0].tolist() == list(range(12))
    remembering.match(images.pixels[:12], images, query_patients=images.patients[:12])
    RememberingDetector.of(plain, Store(tmp_path), "second").match(images.pixels[:4], images)
    assert asked == [3] * 8 + [4]


def test_blocks_in_several_threads_give_what_one_gives(
    detector: tuple[Detector, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, images = detector
    monkeypatch.setattr("memobench.audit.remember.LEAST", 3)
    second, threads = np.arange(len(images)) % 2 == 1, torch.get_num_threads()
    alone = plain.match(images.pixels[:12], images, second=second)
    try:
        torch.set_num_threads(2)
        remembering = RememberingDetector.of(plain, Store(tmp_path), "one")
        found = remembering.match(images.pixels[:12], images, second=second)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found.index, alone.index)
    np.testing.assert_allclose(found.score, alone.score, atol=1e-4)
    other = remembering.match(images.pixels[:12], images, second=~second)  # not taken for the same
    assert np.array_equal(other.index, alone.index[:, ::-1])


def test_an_overlay_lies_where_the_synthetic_image_shows_it(detector: tuple[Detector, Images]) -> None:
    plain, images = detector
    real = images.pixels[3]
    turned = perturb(real[None], "flip", "medium", seed=0)[0]
    laid = overlay(plain, turned, real)
    assert laid.shape == real.shape
    assert np.abs(laid - turned).mean() < 0.25 * np.abs(real - turned).mean()
