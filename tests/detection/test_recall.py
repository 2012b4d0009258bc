import numpy as np
import pytest
from memobench.detection.recall import Recall
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Asked:
    """Sums of images, and how many images were asked about each time."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, images: Floats) -> dict[str, Floats]:
        self.counts.append(len(images))
        sums = images.reshape(len(images), -1).sum(axis=1)
        return {"sum": sums, "pair": np.stack([sums, -sums], axis=1)}


@pytest.fixture
def images() -> Floats:
    return np.random.default_rng(0).random((8, 4, 4), dtype=np.float32)


def test_each_image_is_asked_about_once(images: Floats) -> None:
    recall, asked = Recall(), Asked()
    first = recall.rows("sums", images[:6], asked)
    second = recall.rows("sums", images[[7, 3, 7, 0]], asked)
    assert asked.counts == [6, 1]
    assert np.array_equal(first["sum"], images[:6].reshape(6, -1).sum(axis=1))
    assert np.array_equal(second["pair"][:, 0], images[[7, 3, 7, 0]].reshape(4, -1).sum(axis=1))
    assert second["pair"].shape == (4, 2)


def test_another_question_is_asked_again(images: Floats) -> None:
    recall, asked = Recall(), Asked()
    recall.rows("sums", images[:2], asked)
    recall.rows("other sums", images[:2], asked)
    assert asked.counts == [2, 2]


def test_what_was_answered_cannot_be_changed_from_outside(images: Floats) -> None:
    recall, asked = Recall(), Asked()
    recall.rows("sums", images[:2], asked)["sum"][:] = 0
    assert np.array_equal(recall.rows("sums", images[:2], asked)["sum"], images[:2].reshape(2, -1).sum(axis=1))
