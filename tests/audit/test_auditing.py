"""The parts of an audit: rates without a holdout, what the numbers rest on, the cleaned set, the report, the memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memobench.audit.clean import check_target, left_out_csv, sort_files, write_clean
from memobench.audit.results import AuditedImage, guarantee_words
from memobench.base.errors import DataError
from memobench.base.store import Store
from memobench.challenge.perturb import perturb
from memobench.detection.crossfit import Detector
from memobench.detection.overlay import overlay
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.remember import RememberingDetector
from memobench.generator import Context
from memobench.images import Images
from memobench.measure.decision import Findings
from memobench.memorization.without_holdout import rates_without_holdout, threshold_without_holdout

Make = Callable[..., Images]


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


def test_the_guarantee_names_what_is_missed_and_what_is_lost_without_a_holdout() -> None:
    planted = (("noise", 0.85), ("local edit", 0.95), ("blur", 1.0))
    words = guarantee_words(Findings(images=9, weakest=planted), patients_known=False)
    assert "no exact test is possible" in words
    assert "intervals are too narrow" in words
    assert words.endswith("by how they were changed: noise 85% and local edit 95% (all of the others).")
    words = guarantee_words(Findings(images=9, weakest=(("blur", 1.0),), holdout_patients=1), patients_known=True)
    assert "with images of 1 patient held out" in words
    assert "All planted copies were found" in words


# ----------------------------------------------------------------------------------------------------- the cleaned set


def image(name: str, *, left_out: str | None = None, score: float = 1.0, copy_of: str | None = None) -> AuditedImage:
    return AuditedImage(name=name, score=score, p_value=0.1, copy_of=copy_of, match="t.png", left_out=left_out)


def test_safe_files_are_copied_byte_for_byte(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "sub dir").mkdir(parents=True)
    names = ["a.png", "sub dir/中文.png", "b.dcm", "<b>.png"]
    for name in names:
        (root / name).write_bytes(name.encode())
    images = [
        image("a.png"),
        image("sub dir/中文.png"),
        image("b.dcm#0"),
        image("b.dcm#1", left_out="copy of patient p1", score=4.0, copy_of="p1"),  # one frame of two spoils the file
        image("<b>.png", left_out="too similar to a real image", score=2.0),
    ]
    files = [("a.png",), ("sub dir/中文.png",), ("b.dcm",), ("b.dcm",), ("<b>.png",)]
    chosen = sort_files(images, files)
    cleaned = write_clean(tmp_path / "out", root, chosen)
    assert (cleaned.kept, cleaned.left_out) == (2, 2)
    assert (tmp_path / "out" / "sub dir" / "中文.png").read_bytes() == "sub dir/中文.png".encode()
    copied = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert copied == {"a.png", "sub dir/中文.png"}  # images alone
    table = left_out_csv(chosen)
    assert table.splitlines()[0].endswith("confidential_do_not_hand_on")
    rows = list(csv.DictReader(io.StringIO(table)))
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
    monkeypatch.setattr("memobench.detection.remember.KEPT", 5)
    monkeypatch.setattr("memobench.detection.remember.LEAST", 3)
    asked: list[int] = []
    original = Detector.match

    def counted(self: Detector, queries: Any, pool: Images, **more: Any) -> Any:
        asked.append(len(queries))
        return original(self, queries, pool, **more)

    monkeypatch.setattr(Detector, "match", counted)
    remembering = RememberingDetector(plain, Store(tmp_path), "first")
    one = remembering.match(images.pixels[:12], images)
    assert asked == [3, 3, 3, 3]
    two = RememberingDetector(plain, Store(tmp_path), "first").match(images.pixels[:12], images)
    assert asked == [3, 3, 3, 3]
    assert np.array_equal(one.score, two.score)
    assert one.index[:, 0].tolist() == list(range(12))
    remembering.match(images.pixels[:12], images, query_patients=images.patients[:12])
    RememberingDetector(plain, Store(tmp_path), "second").match(images.pixels[:4], images)
    assert asked == [3] * 8 + [4]


def test_blocks_in_several_threads_give_what_one_gives(
    detector: tuple[Detector, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, images = detector
    monkeypatch.setattr("memobench.detection.remember.LEAST", 3)
    second, threads = np.arange(len(images)) % 2 == 1, torch.get_num_threads()
    alone = plain.match(images.pixels[:12], images, second=second)
    try:
        torch.set_num_threads(2)
        remembering = RememberingDetector(plain, Store(tmp_path), "one")
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
