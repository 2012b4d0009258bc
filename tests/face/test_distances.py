from __future__ import annotations

import memobench
import numpy as np
import pytest
import torch
from memobench.base.errors import DataError, UsageError
from memobench.quality.fd import frechet_distance
from memobench.quality.kid import kernel_distance
from memobench.quality.prdc import prdc

RNG = np.random.default_rng(0)
ONE, OTHER = RNG.normal(size=(60, 5)), RNG.normal(size=(50, 5)) + 0.3


def test_features_give_what_the_metrics_give() -> None:
    assert memobench.frechet_distance(ONE, OTHER) == frechet_distance(ONE, OTHER)
    assert memobench.frechet_distance(torch.from_numpy(ONE), OTHER) == frechet_distance(ONE, OTHER)
    assert memobench.kernel_distance(ONE, OTHER) == kernel_distance(ONE, OTHER)
    assert memobench.precision_recall(ONE, OTHER)._asdict() == prdc(OTHER, ONE)


def test_images_go_through_features() -> None:
    images = RNG.random((20, 6, 6)).astype(np.float32)

    def means(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pixels.reshape(len(pixels), 6, 6).mean(axis=1))

    rows = images.mean(axis=1)
    found = memobench.frechet_distance(images, images[:15, None], features=means)
    assert found == pytest.approx(frechet_distance(rows, rows[:15]))
    with pytest.raises(DataError, match="give features"):
        memobench.kernel_distance(images, images)
    with pytest.raises(UsageError, match='unknown features "incption"'):
        memobench.precision_recall(images, images, features="incption")
    with pytest.raises(DataError, match="call fit"):
        memobench.precision_recall(images, images, features=memobench.CopyDetector())
