"""Images that are nearly the same are found, and those of different people are not taken for one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from memobench.data.nearly_same import nearly_same, persons
from memobench.data.resample import resize
from PIL import Image
from scipy import ndimage


def _people(count: int, shape: tuple[int, ...] = (48, 48), common: float = 0.5, seed: int = 0) -> np.ndarray:
    """Smooth images that share an anatomy, and differ by their own."""
    rng = np.random.default_rng(seed)
    width = (0, *[side / 16 for side in shape])
    own = ndimage.gaussian_filter(rng.normal(size=(count + 1, *shape)), width)
    images = common * own[:1] + (1 - common) * own[1:]
    low, high = images.min(), images.max()
    return ((images - low) / (high - low)).astype(np.float32)


def _ids(count: int) -> np.ndarray:
    return np.array([f"p{k:03d}" for k in range(count)])


def _jpeg(image: np.ndarray) -> np.ndarray:
    into = io.BytesIO()
    Image.fromarray((image * 255).astype(np.uint8)).save(into, "JPEG", quality=60)
    return np.asarray(Image.open(into), dtype=np.float32) / 255


EXPORTS = {
    "noise": lambda x: np.clip(x + np.random.default_rng(1).normal(0, 0.02, x.shape), 0, 1),
    "jpeg": _jpeg,
    "contrast": lambda x: np.clip(0.2 + 0.5 * x, 0, 1),
    "gamma": lambda x: x**1.3,
    "resampled": lambda x: resize(resize(x, (32, 32)), (48, 48)),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_of_an_image_is_nearly_the_same(export: str) -> None:
    people = _people(40)
    again = np.stack([EXPORTS[export](image) for image in people[:5]]).astype(np.float32)
    found = nearly_same(np.concatenate([people, again]), _ids(45))
    assert found == [(k, 40 + k) for k in range(5)]


@pytest.mark.parametrize("common", [0.0, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("shape", [(48, 48), (20, 20, 20)])
def test_people_are_not_joined_however_alike_all_are(shape: tuple[int, ...], common: float) -> None:
    assert not nearly_same(_people(60, shape, common), _ids(60))


def test_one_persons_own_images_are_not_asked_about() -> None:
    people = _people(20)
    assert not nearly_same(np.concatenate([people, people]), np.tile(_ids(20), 2))


def test_even_images_and_few_images() -> None:
    assert not nearly_same(np.full((4, 16, 16), 0.5, dtype=np.float32), _ids(4))
    assert not nearly_same(_people(1), _ids(1))
    assert not nearly_same(np.zeros((0, 16, 16), dtype=np.float32), _ids(0))


def test_pairs_join_to_persons() -> None:
    assert persons(_ids(6), [(0, 3), (3, 5), (1, 2)]) == {
        **dict.fromkeys(("p000", "p003", "p005"), "p000"),
        **dict.fromkeys(("p001", "p002"), "p001"),
    }
    assert persons(_ids(3), []) == {}
