"""Regions in made-up images: planted ones are found in their place, and nobody is accused for other reasons."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.regions import find_regions, region_pool
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

Pixels = NDArray[np.float32]


def anatomy(count: int, shape: tuple[int, ...] = (32, 32), seed: int = 0) -> Pixels:
    """One body for all, with fine detail of each one's own."""
    rng = np.random.default_rng(seed)
    common = gaussian_filter(np.random.default_rng(99).random(shape), 3)
    own = np.stack([gaussian_filter(rng.random(shape), 0.7) for _ in range(count)])
    made = 4 * (common - 0.5) + 2.5 * (own - 0.5) + 0.5
    return np.clip(made, 0, 1).astype(np.float32)


def best(pixels: Pixels, pool: Pixels) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    found = find_regions(pixels, region_pool(pool, np.arange(len(pool))))
    column = found.score.argmax(axis=1)
    return found.score.max(axis=1), found.index[np.arange(len(pixels)), column]


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_half_an_image_in_another_body_is_found_in_its_place(shape: tuple[int, ...]) -> None:
    pool, bodies = anatomy(12, shape), anatomy(6, shape, seed=1)
    half = shape[0] // 2
    made = bodies.copy()
    made[:, half:] = pool[:6, half:]
    ready = region_pool(pool, np.arange(12))
    found = find_regions(made, ready)
    null = find_regions(bodies, ready).score.max(axis=1)
    column = found.score.argmax(axis=1)
    rows = np.arange(6)
    assert found.score.max(axis=1).min() > 2 * null.max()
    assert found.index[rows, column].tolist() == list(range(6))
    box = found.box[rows, column]
    assert (box[:, 0, 0] >= half - shape[0] // 4).all()
    assert np.abs(found.source[rows, column] - box).max() <= shape[0] // 8


def test_a_part_that_was_turned_and_moved_is_registered() -> None:
    pool, bodies = anatomy(12), anatomy(8, seed=1)
    made = bodies.copy()
    for k in range(8):
        turned = rotate(pool[k], 3.0, reshape=False, order=1, mode="nearest")
        made[k, :, 8:] = np.roll(turned, 1, axis=0)[:, 8:]
    score, index = best(made, pool)
    assert (index == np.arange(8)).mean() >= 0.8
    assert np.median(score) > best(bodies, pool)[0].max()


def test_new_patients_noisy_even_and_odd_images_score_like_new_patients() -> None:
    pool = anatomy(30)
    null = find_regions(pool, region_pool(pool, np.arange(30)), owners=np.arange(30)).score.max(axis=1)
    strangers = anatomy(20, seed=5)
    noisy = np.clip(strangers + np.random.default_rng(6).normal(0, 0.05, strangers.shape), 0, 1).astype(np.float32)
    grey = np.full((2, 32, 32), 0.5, dtype=np.float32)
    edges = np.zeros((2, 32, 32), dtype=np.float32)
    edges[:, 10:] = 1
    for name, images in {"new": strangers, "noisy": noisy, "grey": grey, "edges": edges}.items():
        assert best(images, pool)[0].max() <= 1.5 * null.max(), name


def test_a_patient_is_passed_over_with_all_of_his_images() -> None:
    pool = anatomy(10)
    pool[5] = pool[0]  # the same patient again
    owners = np.array([0, 1, 2, 3, 4, 0, 6, 7, 8, 9])
    ready = region_pool(pool, owners)
    found = find_regions(pool[:1], ready, owners=owners[:1])
    assert not np.isin(found.index[np.isfinite(found.score)], [0, 5]).any()
    alone = find_regions(pool[:1], ready)  # a synthetic image: its two equal images do not rival each other
    assert alone.score.max() > 2 * found.score.max()
    assert owners[alone.index[0, alone.score[0].argmax()]] == 0


def test_the_order_of_the_pool_changes_nothing() -> None:
    pool, queries = anatomy(14), anatomy(3, seed=2)
    order = np.random.default_rng(0).permutation(14)
    score, index = best(queries, pool)
    other, moved = best(queries, pool[order])
    assert score == pytest.approx(other, abs=1e-4)
    assert index.tolist() == order[moved].tolist()
