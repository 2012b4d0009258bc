from __future__ import annotations

import numpy as np
import pytest
from memobench.data.files.picture import Raw, Unreadable, grey, picture, span, stretched


def test_other_types_are_scaled_by_their_percentiles() -> None:
    values = np.random.default_rng(0).normal(500, 90, (60, 60))
    seen = picture(Raw(values))
    low, high = np.percentile(values, [0.5, 99.5])
    inner = (values > low) & (values < high)
    assert np.allclose(seen.pixels[inner], (values[inner] - low) / (high - low), atol=1e-6)
    assert seen.pixels.min() == 0
    assert seen.pixels.max() == 1
    assert (seen.low, seen.high) == (values.min(), values.max())


def test_the_scale_and_offset_of_unknown_units_do_not_matter() -> None:
    values = np.random.default_rng(0).integers(0, 4000, (50, 50))
    first, second = picture(Raw(values)), picture(Raw(values * 3.5 - 1024))
    assert np.allclose(first.pixels, second.pixels, atol=1e-6)


def test_an_image_that_is_nearly_all_background_is_scaled_by_its_ends() -> None:
    values = np.zeros((50, 50), np.int16)
    values[3, 4] = 900
    assert picture(Raw(values)).pixels[3, 4] == 1


def test_inverted_means_that_the_smallest_is_white() -> None:
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    plain, inverted = picture(Raw(values)), picture(Raw(values, inverted=True))
    assert np.allclose(inverted.pixels, 1 - plain.pixels)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4), 7), "is constant \\(every value is 7\\)"),
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), "holds 2 NaN or infinite"),
        (np.zeros((0, 4)), "has no pixels"),
        (np.zeros((4, 4), complex), "complex128, not real"),
        (np.array([["a", "b"]]), "not real numbers"),
    ],
)
def test_what_is_no_image_is_refused(values: np.ndarray, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        span(values)


def test_what_shows_nothing_is_refused() -> None:
    with pytest.raises(Unreadable, match="constant once it is shown"):
        picture(Raw(np.array([[2.0, 3.0]]), window=np.ones_like))


def test_a_reason_that_quotes_a_file_stays_on_one_line() -> None:
    assert str(Unreadable("is 1.2\n\x1b[2J")) == "is 1.2\\n\\x1b[2J"


def test_luminance_leaves_opacity_out() -> None:
    values = np.zeros((2, 2, 4), np.uint8)
    values[..., 1] = 100
    values[..., 3] = 255
    luminance, colour = grey(values)
    assert colour
    assert np.allclose(luminance, 58.7)


def test_neither_depth_nor_unit_nor_offset_counts() -> None:
    eight = np.random.default_rng(0).integers(20, 230, (40, 40)).astype(np.uint8)
    plain = picture(Raw(eight)).pixels
    for same in (eight.astype(np.uint16) * 257, eight.astype(np.int16) * 12 - 1024, eight.astype(np.float64) / 255):
        assert np.array_equal(picture(Raw(same)).pixels, plain)
    assert np.allclose(picture(Raw(eight.astype(np.float32) / 255)).pixels, plain, atol=2e-6)
    assert np.array_equal(picture(Raw(255 - eight, inverted=True)).pixels, plain)


def test_an_image_is_scaled_by_itself_alone() -> None:
    dark = np.random.default_rng(0).uniform(0, 0.3, size=(16, 16)).astype(np.float32)
    assert stretched(dark).max() == 1
    assert np.allclose(stretched(dark), stretched(dark * 3), atol=2e-6)


def test_a_window_comes_before_the_range() -> None:
    values = np.arange(-1000, 1000, 5).reshape(20, 20)

    def window(units: np.ndarray) -> np.ndarray:
        return np.clip(units / 400 + 0.5, 0, 1)

    seen = picture(Raw(values, window=window))
    assert np.allclose(seen.pixels, window(values), atol=1e-6)  # it is narrower than the range, so it decides
    assert (seen.low, seen.high) == (-1000, 995)
    assert seen.scaling.startswith("shown in its DICOM window")
