from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.base.progress import silent
from memobench.base.store import Store, digest_of
from memobench.detection import published
from memobench.detection.crossfit import Detector
from memobench.detection.parameters import EmbeddingParameters
from memobench.detection.published import PRESETS, detector_key, published_detector, train_detector
from memobench.detection.stage import fit_detector, load_detector
from memobench.images import Images
from memobench.task import TASKS, Splits

SMALL = EmbeddingParameters(channels=(8, 8, 16, 16), dimension=12, steps=3, batch=8, planted=24)


def plain(parameters: EmbeddingParameters) -> dict[str, Any]:
    """As an identity holds them."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(parameters)))
    return found


def words(preset: str) -> dict[str, Any]:
    return plain(EmbeddingParameters.preset(preset))


def empty(digest: str) -> Splits:
    """Splits without an image: training on them fails."""
    none = Images(np.zeros((0, 8, 8), np.float32), np.array([], dtype=str), np.array([], dtype=str))
    return Splits(none, none, none, None, none, digest)


@pytest.fixture(scope="module")
def splits() -> Splits:
    rng = np.random.default_rng(0)

    def side(name: str, patients: int) -> Images:
        coarse = rng.random((patients, 8, 8)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
        names = np.array([f"{name}{number:02d}" for number in range(patients)])
        return Images(coarse, names, names)

    return Splits(side("a", 10), side("b", 10), side("c", 10), side("d", 70), side("e", 4), "0" * 64)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("task", sorted(TASKS.files()))
def test_every_task_of_memobench_has_its_detector_of_today(task: str, preset: str, tmp_path: Path) -> None:
    """Fails after a new version of detector or task: python -m memobench.detection.published."""
    here = TASKS.get(task)
    path, stored = fit_detector(empty(here.digest), words(preset), store=Store(tmp_path), device="cpu", track=silent)
    assert not stored
    detector = load_detector(path, words(preset), store=Store(tmp_path), device="cpu")
    assert detector.detector.folds is None  # it learned from other patients alone
    assert detector.embeddings[0].shape == here.shape


def test_the_shipped_one_is_what_was_trained_to_half_precision(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "load_splits", lambda *_, **__: (splits, tmp_path, True))
    monkeypatch.setattr(published.EmbeddingParameters, "preset", lambda _: SMALL)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    published.publish("xray", "quick", Store(tmp_path / "store"), shelf)
    parameters = plain(SMALL)
    key = detector_key(splits, parameters)
    shipped = published_detector(key, shelf)
    assert shipped is not None
    own = train_detector(splits, parameters, device="cpu", track=silent, scratch=tmp_path)
    assert shipped.keys() == own.keys()
    for name, array in own.items():
        assert shipped[name].dtype == array.dtype
        np.testing.assert_allclose(shipped[name], array, rtol=1e-3, atol=1e-4)
    queries = splits.test.pixels[:6]
    one, two = (Detector.restore(arrays, SMALL) for arrays in (shipped, own))
    np.testing.assert_allclose(
        one.match(queries, splits.train).score, two.match(queries, splits.train).score, atol=0.02
    )
    assert published_detector(key | {"split": "1" * 64}, shelf) is None
    assert published_detector(key | {"version": "0"}, shelf) is None
    assert published_detector(key | {"detector": {**parameters, "steps": 4}}, shelf) is None


def test_what_an_older_version_trained_here_is_not_taken_for_the_shipped_one(tmp_path: Path) -> None:
    store, splits = Store(tmp_path), empty(TASKS.get("xray").digest)
    key = detector_key(splits, words("quick"))
    store.get("detector", key, lambda into, _: (into / "detector.safetensors").write_bytes(b"older") and None)
    path, stored = fit_detector(splits, words("quick"), store=store, device="cpu", track=silent)
    assert not stored
    assert path.name != digest_of(key)


def test_a_damaged_shipped_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "xray-quick.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(MemobenchError, match=r"xray-quick.safetensors.*cannot be read.*install memobench again"):
        published_detector({"split": "", "version": "", "detector": {}}, tmp_path)
