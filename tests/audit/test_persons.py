"""One person under several ids: within a side he is one patient, across the sides the holdout does without him."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.audit.persons import apart
from memobench.base.errors import DataError
from memobench.images import Images
from scipy import ndimage

RNG = np.random.default_rng(0)
SMOOTH = ndimage.gaussian_filter(RNG.normal(size=(60, 40, 40)), (0, 2.5, 2.5))
PEOPLE = ((SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH)).astype(np.float32)
AGAIN = np.clip(PEOPLE + RNG.normal(0, 0.01, PEOPLE.shape), 0, 1).astype(np.float32)


def _side(pixels: np.ndarray, word: str) -> Images:
    ids = np.array([f"{word}{k:02d}" for k in range(len(pixels))])
    return Images(pixels, ids, ids)


def test_sides_of_different_people_stay_as_they_are() -> None:
    train, holdout = _side(PEOPLE[:30], "t"), _side(PEOPLE[30:], "h")
    found = apart(train, holdout)
    assert found == (train, holdout, [])
    assert apart(train, None) == (train, None, [])


def test_a_person_under_two_ids_is_one_patient() -> None:
    train = _side(np.concatenate([PEOPLE[:30], AGAIN[:4]]), "t")
    joined, holdout, notes = apart(train, _side(PEOPLE[30:], "h"))
    assert joined.patient_count == 30
    assert np.array_equal(joined.pixels, train.pixels)
    assert holdout
    assert holdout.patient_count == 30
    assert "8 training patients have an image that is nearly the same as another's" in notes[0]
    assert "they count as 4" in notes[0]


def test_a_held_out_person_of_train_is_left_out() -> None:
    train = _side(PEOPLE[:30], "t")
    holdout = _side(np.concatenate([PEOPLE[30:], AGAIN[:3]]), "h")
    same, left, notes = apart(train, holdout)
    assert same is train
    assert left
    assert left.patients.tolist() == [f"h{k:02d}" for k in range(30)]
    assert notes[0].startswith("3 HELD-OUT PATIENTS HAVE AN IMAGE THAT IS NEARLY THE SAME")
    assert '"h30" and "t00"' in notes[0]


def test_a_holdout_that_is_train_again_is_refused() -> None:
    with pytest.raises(DataError, match="20 of 30 held-out patients have an image that is nearly the same"):
        apart(_side(PEOPLE[:30], "t"), _side(np.concatenate([AGAIN[:20], PEOPLE[30:40]]), "h"))
