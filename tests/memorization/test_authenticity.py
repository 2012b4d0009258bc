from __future__ import annotations

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.memorization.authenticity import authentic, authenticity
from sklearn.neighbors import NearestNeighbors


def test_the_definition_on_a_line() -> None:
    # nearest other training points: 0 and 1 are 1 apart, 4 is 3 from 1
    train = [[0.0], [1.0], [4.0]]
    # 0.5: 0.5 from 0, whose reach is 1; 3: 1 from 4, whose reach is 3; 8: 4 from 4; -1.5: 1.5 from 0
    found, index = authentic([[0.5], [3.0], [8.0], [-1.5]], train)
    assert found.tolist() == [False, False, True, True]
    assert index.tolist() == [0, 2, 2, 0]
    assert authenticity([[0.5], [3.0], [8.0], [-1.5]], train) == 0.5


def test_a_tie_is_not_authentic() -> None:
    assert authentic([[-1.0], [-1.0000001], [7.0]], [[0.0], [1.0], [4.0]])[0].tolist() == [False, True, False]
    # equal but for rounding: sqrt(0.02) two ways
    assert not authentic([[0.1, -0.1]], [[0.0, 0.0], [0.1, 0.1], [9.0, 9.0]])[0][0]


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    train, generated = rng.normal(size=(150, 8)), rng.normal(size=(90, 8))
    neighbours = NearestNeighbors().fit(train)
    reach = neighbours.kneighbors(n_neighbors=1)[0][:, 0]
    distance, index = neighbours.kneighbors(generated, n_neighbors=1)
    expected = distance[:, 0] > reach[index[:, 0]]
    assert authentic(generated, train)[0].tolist() == expected.tolist()


def test_a_patients_other_scan_is_no_reach() -> None:
    train, patients = [[0.0], [1.0], [10.0]], np.array(["a", "a", "b"])
    assert authenticity([[-2.0]], train) == 1.0
    assert authenticity([[-2.0]], train, train_groups=patients) == 0.0


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_duplicated_training_images_change_nothing(mean: float) -> None:
    rng = np.random.default_rng(1)
    train = rng.normal(mean, 1, size=(40, 6))
    generated = np.concatenate([train[:10] + 0.01, rng.normal(mean, 1, size=(30, 6))])
    once, many = authentic(generated, train), authentic(generated, np.repeat(train, 10, axis=0))
    assert once[0].tolist() == many[0].tolist()
    assert not many[0][:10].any()


def test_copies_are_not_authentic_and_strangers_are() -> None:
    train = np.random.default_rng(2).normal(size=(30, 5))
    assert authenticity(train, train) == 0.0
    assert authenticity(train + 100, train) == 1.0
    assert authenticity(train[:1], train) == 0.0


@pytest.mark.parametrize(
    ("generated", "train", "groups", "words"),
    [
        ([[0.0]], [[0.0]], None, "1 different image"),
        ([[0.0]], [[1.0]] * 5, None, "1 different image"),
        ([[0.0]], [[1.0], [2.0]], np.array(["a", "a"]), "1 patient"),
        ([[0.0]], [[1.0], [2.0]], np.array(["a"]), "1 patients of 2"),
        (np.empty((0, 1)), [[1.0], [2.0]], None, "0 generated"),
        ([[np.nan]], [[1.0], [2.0]], None, "NaN"),
        ([[0.0, 1.0]], [[1.0], [2.0]], None, "dimensions"),
    ],
)
def test_what_cannot_be_measured_is_refused(generated, train, groups, words) -> None:
    with pytest.raises(DataError, match=words):
        authenticity(generated, train, train_groups=groups)
