from __future__ import annotations

from collections.abc import Callable
from typing import Any

import memobench
import numpy as np
import pytest
import torch
from memobench.base.errors import DataError
from memobench.images import Images
from PIL import Image


def _patients(count: int, seed: int, size: int = 32) -> np.ndarray:
    """Smooth random images of 8 bit, each of another patient."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


TRAIN, HOLDOUT, NEW = _patients(24, 0), _patients(24, 1), _patients(6, 2)


@pytest.fixture(scope="module")
def detector() -> Any:
    return memobench.CopyDetector(preset="smoke", device="cpu").fit(TRAIN, HOLDOUT)


def test_copies_are_found_with_their_source(detector: Any) -> None:
    mixed = np.concatenate([TRAIN[[3, 7, 3]], NEW, HOLDOUT[:2]])
    found = detector.match(mixed)
    assert found.is_copy.tolist() == [True] * 3 + [False] * 8
    assert found.index[:3].tolist() == [3, 7, 3]
    assert found.patient[1] == "train 7"
    assert (found.score[:3] >= found.tau).all()
    assert found.tau == detector.tau_


@pytest.mark.parametrize(
    "given",
    [
        torch.from_numpy(TRAIN[:3]),
        TRAIN[:3].astype(np.float32) / np.float32(255),
        [Image.fromarray(one) for one in TRAIN[:3]],
        np.repeat(TRAIN[:3, ..., None], 3, axis=-1),
        torch.from_numpy(TRAIN[:3, None].astype(np.float32) / np.float32(255)),
    ],
    ids=["tensor", "unit", "pictures", "colour", "channel"],
)
def test_whatever_holds_images_gives_the_same(given: Any, detector: Any) -> None:
    assert np.allclose(detector.match(given).score, detector.match(TRAIN[:3]).score, atol=1e-4)


def test_images_of_another_size_and_blank_ones(detector: Any) -> None:
    large = TRAIN[:2].repeat(2, axis=1).repeat(2, axis=2)
    assert detector.match(large).index.tolist() == [0, 1]
    blank = detector.match(np.zeros((2, 32, 32), np.uint8))
    assert not blank.is_copy.any()
    assert np.isneginf(blank.score).all()


def test_the_rate_has_an_interval(detector: Any) -> None:
    rate = detector.copy_rate(np.concatenate([TRAIN[:12], _patients(12, 5)]))
    assert rate.low < 0.5 < rate.high or rate.value == pytest.approx(0.5, abs=0.1)
    assert rate.null == 0
    assert rate.p_value < 0.05
    assert detector.features(NEW).shape[0] == 6


def test_what_cannot_be_compared_is_said(detector: Any) -> None:
    with pytest.raises(DataError, match="the images are 3D, and those of train 2D"):
        detector.match(np.zeros((2, 8, 8, 8)))
    with pytest.raises(DataError, match="there are no images"):
        detector.match(NEW[:0])
    with pytest.raises(DataError, match="value_range"):
        detector.match(NEW.astype(np.float32))
    same = {"train": ["a"] * 24, "holdout": ["a"] * 24}
    with pytest.raises(DataError, match="patient 'a' is in train and in holdout"):
        memobench.CopyDetector().fit(TRAIN, HOLDOUT, patients=same)


def test_one_call_gives_the_rate(make_images: Callable[..., Images]) -> None:
    rate = memobench.copy_rate(TRAIN[:16], TRAIN, HOLDOUT, preset="smoke", device="cpu")
    assert rate.value > 0.8
