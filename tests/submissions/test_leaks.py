"""The leak test on scores whose truth is known: nobody, one patient's images over and over, a few, everybody."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.images import Images
from memobench.submissions.leaks import Found, judged
from memobench.submissions.records import Leak, LeakPool

SIZES: dict[LeakPool, int] = {"test": 256, "fresh": 256, "dev": 384}
COUNT, KNOWN, N = 896, 296, 256


def _pools() -> dict[LeakPool, Images]:
    return {
        name: Images(
            np.zeros((size, 1, 1), np.float32),
            np.array([f"{name}{number:04d}" for number in range(size)]),
            np.array(["1"] * size),
        )
        for name, size in SIZES.items()
    }


def _draw(rng: np.random.Generator) -> Found:
    """Samples of new patients: the best of a pool is the larger, the larger the pool (Gumbel), as for real images."""
    score = rng.gumbel(np.log(COUNT / (COUNT + KNOWN)), size=N).astype(np.float32)
    rival = rng.gumbel(np.log(KNOWN / (COUNT + KNOWN)), size=N).astype(np.float32)
    null = rng.gumbel(size=KNOWN).astype(np.float32)
    return Found(score, rng.integers(COUNT, size=N), rival, null)


def _copies(found: Found, owners: np.ndarray) -> Found:
    score, owner = found.score.copy(), found.owner.copy()
    score[: len(owners)], owner[: len(owners)] = 15.0, owners
    return Found(score, owner, found.rival, found.null)


def _leaking(rows: list[Leak]) -> set[str]:
    return {row.pool for row in rows if row.found}


def test_samples_of_new_patients_are_no_leak() -> None:
    rng, pools = np.random.default_rng(0), _pools()
    wrong = sum(bool(_leaking(judged(_draw(rng), pools, KNOWN))) for _ in range(400))
    assert wrong / 400 <= 0.01 + 2 * np.sqrt(0.01 * 0.99 / 400)


@pytest.mark.parametrize(("pool", "first"), [("test", 0), ("fresh", 256), ("dev", 512)])
@pytest.mark.parametrize("count", [5, 200])
def test_images_of_other_patients_are_a_leak_of_their_pool(pool: str, first: int, count: int) -> None:
    rng, pools = np.random.default_rng(1), _pools()
    for _ in range(20):
        rows = judged(_copies(_draw(rng), first + np.arange(count)), pools, KNOWN)
        assert _leaking(rows) == {pool}
        (row,) = [row for row in rows if row.pool == pool]
        assert 0.9 * count <= row.patients <= count + 3


def test_images_that_match_everybody_are_no_leak() -> None:
    """Blurred samples score as high against train and holdout as against anybody: what they share is taken off."""
    rng, pools = np.random.default_rng(2), _pools()
    wrong = 0
    for _ in range(100):
        found = _draw(rng)
        shared = rng.normal(8, 2, size=N).astype(np.float32)
        blurred = Found(found.score + shared, found.owner, found.rival + shared, found.null)
        wrong += bool(_leaking(judged(blurred, pools, KNOWN)))
    assert wrong <= 5


def test_copies_of_train_are_no_leak_of_others() -> None:
    found = _draw(np.random.default_rng(3))
    assert not _leaking(judged(Found(found.score, found.owner, found.rival + 15, found.null), _pools(), KNOWN))


def test_one_image_over_and_over_counts_once() -> None:
    rows = judged(_copies(_draw(np.random.default_rng(4)), np.zeros(200, dtype=int)), _pools(), KNOWN)
    assert rows[0].matched >= 200
    assert rows[0].patients <= 3


def test_samples_that_match_nobody_of_a_side_are_counted_where_they_match() -> None:
    found = _copies(_draw(np.random.default_rng(5)), np.arange(20))
    rival = found.rival.copy()
    rival[:20] = -np.inf
    score = found.score.copy()
    score[20:40] = -np.inf
    assert _leaking(judged(Found(score, found.owner, rival, found.null), _pools(), KNOWN)) == {"test"}
