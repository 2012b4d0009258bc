from __future__ import annotations

import numpy as np
import pytest
from memobench.data.files.levels import Levels
from memobench.data.files.picture import PERCENTILES, Raw, Unreadable, picture
from memobench.data.files.window import CentreWidth, Rescale
from numpy.typing import NDArray

TYPES = ("uint8", "int8", "uint16", "int16", ">u2", ">i2")


def _integers(kind: str, seed: int, shape: tuple[int, ...] = (37, 41)) -> NDArray[np.integer]:
    rng, info = np.random.default_rng(seed), np.iinfo(kind)
    spread = rng.choice([3, 40, 300, 20000])
    return np.clip(rng.normal(rng.integers(info.min, info.max), spread, shape), info.min, info.max).astype(kind)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(8))
def test_the_range_is_that_of_numpy_to_the_bit(kind: str, seed: int) -> None:
    values = _integers(kind, seed)
    levels = Levels.of(values)
    assert levels is not None
    assert levels.counts.sum() == values.size
    drawn = CentreWidth(float(np.median(values)), 500).apply(levels.values) if seed % 2 else levels.values
    each = CentreWidth(float(np.median(values)), 500).apply(values) if seed % 2 else values.astype(np.float64)
    assert levels.ends(drawn, PERCENTILES) == tuple(np.percentile(each, PERCENTILES).tolist())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_pixels_are_those_of_arithmetic_pixel_by_pixel(kind: str, inverted: bool, padded: bool) -> None:
    for seed, shape in enumerate([(37, 41), (5, 20, 21), (700, 1600)]):
        stored = _integers(kind, seed, shape)
        background = (np.indices(shape).sum(axis=0) % 7 == 0) if padded else None
        window, units = CentreWidth(1.5 * float(np.median(stored)) - 7, 90), Rescale(1.5, -7.0)
        for look in (None, window.apply):
            by_level = picture(Raw(stored, None, look, inverted, False, background, units.apply))
            by_pixel = picture(Raw(units.apply(stored), None, look, inverted, False, background))
            assert np.array_equal(by_level.pixels, by_pixel.pixels)
            assert (by_level.low, by_level.high) == (by_pixel.low, by_pixel.high)
            assert by_level.sums == by_pixel.sums
            steps = np.rint(by_pixel.pixels.astype(np.float64) * 2**20).astype(np.uint64)
            assert by_level.sums == (int(steps.sum()), int((steps * steps).sum()))


def test_neighbours_farther_apart_than_their_type_reaches() -> None:
    values = np.full((20, 20), -32768, dtype=np.int16)
    values[10:] = 32767
    assert set(np.unique(picture(Raw(values)).pixels)) == {0.0, 1.0}


def test_black_and_white_is_a_picture() -> None:
    assert picture(Raw(np.eye(5, dtype=bool))).pixels.tolist() == np.eye(5).tolist()


def test_other_types_have_no_levels() -> None:
    assert Levels.of(np.zeros((3, 3), dtype=np.int32)) is None
    assert Levels.of(np.zeros((3, 3), dtype=np.float32)) is None
    with pytest.raises(Unreadable, match="has no pixels"):
        picture(Raw(np.zeros((0, 3), dtype=np.uint8)))
