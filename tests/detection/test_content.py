"""Images without content, and the frames of others."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.detection.content import content_boxes, content_notes, has_content
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def smooth(count: int, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    values = np.stack([gaussian_filter(one, 2) for one in noise])
    made: NDArray[np.float32] = np.clip(0.5 + values / values.std() / 6, 0, 1).astype(np.float32)
    return made


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16), (8, 32, 32)])
def test_even_nearly_even_and_mostly_border_have_nothing_to_compare(shape: tuple[int, ...]) -> None:
    rng, picture = np.random.default_rng(0), smooth(1, shape)[0]
    speck, strip = np.zeros(shape), np.zeros(shape)
    speck[(0,) * len(shape)] = 1
    strip[tuple(slice(side // 2, side // 2 + 1) for side in shape)] = 1
    ramp = np.broadcast_to(np.linspace(0.4, 0.5, shape[-1]), shape)
    empty = {
        "black": np.zeros(shape),
        "grey": np.full(shape, 0.5),
        "white": np.ones(shape),
        "grey with a hint of noise": 0.5 + rng.normal(0, 0.003, shape),
        "a gentle ramp": ramp,
        "one bright pixel": speck,
        "a strip": strip,
    }
    for name, image in empty.items():
        assert not has_content(image[None].astype(np.float32))[0], name
    full = {
        "a picture": picture,
        "a pale picture": 0.5 + 0.2 * (picture - 0.5),
        "noise": rng.random(shape),
        "black around": np.where(np.indices(shape)[0] < shape[0] // 2, 0, picture),
        "inverted": 1 - picture,
    }
    for name, image in full.items():
        assert has_content(image[None].astype(np.float32))[0], name
    assert has_content(np.zeros((0, *shape), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize("grey", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_frame_is_found_whatever_its_grey(grey: float, noise: float) -> None:
    rng = np.random.default_rng(1)
    picture = np.full((40, 40), grey, dtype=np.float32)
    inner = rng.random((24, 30), dtype=np.float32)
    picture[6:30, 8:38] = inner
    noisy = picture + rng.normal(0, noise, picture.shape).astype(np.float32)
    assert content_boxes(noisy[None]).tolist() == [[[6, 30], [8, 38]]]
    volume = np.full((12, 20, 20), grey, dtype=np.float32)
    volume[2:10, :, 4:15] = rng.random((8, 20, 11), dtype=np.float32)
    assert content_boxes(volume[None]).tolist() == [[[2, 10], [0, 20], [4, 15]]]


def test_pictures_without_a_frame_keep_their_whole() -> None:
    whole = [[0, 32], [0, 32]]
    assert content_boxes(np.random.default_rng(0).random((1, 32, 32), dtype=np.float32)).tolist() == [whole]
    assert content_boxes(np.zeros((2, 32, 32), dtype=np.float32)).tolist() == [whole] * 2


def test_images_without_content_are_named_and_counted() -> None:
    assert content_notes(np.zeros(3, dtype=bool)) == []
    (note,) = content_notes(np.array([False, True, True]), ["a.png", "b.png", "c.png"])
    assert note.startswith("2 synthetic images are even")
    assert note.endswith("images b.png, c.png")
    (note,) = content_notes(np.arange(10) > 2)
    assert "samples 3, 4, 5, 6, 7 and 2 more" in note
    assert content_notes(np.ones(4, dtype=bool))[0].startswith("NOTHING TO COMPARE: all 4")
