from __future__ import annotations

import numpy as np
import pytest
from memobench.challenge.planted_parts import Part, plant_part, planted_parts, smallest_found
from memobench.detection.regions import find_regions, region_pool
from scipy.ndimage import gaussian_filter


@pytest.mark.parametrize(("shape", "share"), [((32, 32), 0.5), ((32, 48), 0.125), ((12, 16, 16), 0.25)])
def test_a_part_covers_its_share_of_the_body_and_nothing_else(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(0)
    body = np.zeros(shape, dtype=np.float32)
    made = plant_part(np.ones(shape, dtype=np.float32), body, share, rng)
    assert made.dtype == np.float32
    assert 0.6 * share < float((made > 0.5).mean()) <= 1.1 * share


def test_parts_are_found_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.challenge.planted_parts.SHARES", {2: (0.5, 1 / 32)})
    rng = np.random.default_rng(0)
    pixels = np.stack([gaussian_filter(rng.random((32, 32)), 1) for _ in range(24)])
    pixels = ((pixels - pixels.min()) / np.ptp(pixels)).astype(np.float32)
    pool = region_pool(pixels, np.arange(24))
    null = find_regions(pixels, pool, owners=np.arange(24)).score.max(axis=1)
    parts = planted_parts(pixels, pool, (np.arange(12), np.arange(12, 24)), null, 8)
    assert [(part.share, part.count) for part in parts] == [(0.5, 8), (1 / 32, 8)]
    assert parts[0].found >= 0.8 > parts[1].found
    assert smallest_found(parts) == 0.5


def test_the_smallest_part_has_none_larger_that_is_missed() -> None:
    assert smallest_found([Part(0.5, 0.5, 20), Part(0.25, 0.9, 20)]) is None
    assert smallest_found([Part(0.25, 0.9, 20), Part(0.5, 1.0, 20), Part(0.125, 0.2, 20)]) == 0.25
