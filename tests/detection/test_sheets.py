"""Sheets of several images among single ones."""

from __future__ import annotations

import numpy as np
import pytest
from memobench.data.resample import resize
from memobench.detection.sheets import sheet_notes, sheets, sheets_by_size
from memobench.images import Images
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def people(count: int, seed: int) -> Images:
    """One anatomy, and something of each person's own."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(*[np.linspace(-1, 1, 32)] * 2, indexing="ij")
    body = np.exp(-((x - 0.3) ** 2) / 0.1 - y**2 / 0.3) + 0.7 * np.exp(-((x + 0.4) ** 2) / 0.05 - (y - 0.2) ** 2 / 0.2)
    own = np.stack([gaussian_filter(random.normal(size=(32, 32)), 3) for _ in range(count)])
    pixels = body + 0.25 * own / own.std()
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    names = np.array([f"{seed}-{k}" for k in range(count)])
    return Images(pixels.astype(np.float32), names, names)


REAL, NEW = people(60, 1), people(60, 2)


def sheet(rows: int, columns: int, line: int, left_out: int = 0) -> NDArray[np.float32]:
    step = 32 + line
    made = np.zeros((rows * step + line, columns * step + line), dtype=np.float32)
    for k in range(rows * columns - left_out):
        y, x = divmod(k, columns)
        made[line + y * step :, line + x * step :][:32, :32] = NEW.pixels[k % len(NEW)]
    return resize(made, (32, 32))


@pytest.mark.parametrize(
    ("rows", "columns", "line", "left_out"), [(2, 2, 2, 0), (4, 4, 2, 0), (3, 5, 0, 0), (4, 4, 2, 3)]
)
def test_a_sheet_among_single_images_is_told(rows: int, columns: int, line: int, left_out: int) -> None:
    found = sheets(np.stack([*NEW.pixels[:20], sheet(rows, columns, line, left_out)]), REAL)
    assert found[:20].tolist() == [[1, 1]] * 20
    assert found[20].max() > 1


def test_single_images_noise_grey_and_turned_ones_are_no_sheets() -> None:
    random = np.random.default_rng(0)
    odd = [
        random.random((20, 32, 32)),
        np.full((1, 32, 32), 0.5),
        np.rot90(NEW.pixels[:20], axes=(1, 2)),
        1 - NEW.pixels[:20],
        gaussian_filter(NEW.pixels[:20], (0, 4, 4)),
    ]
    assert sheets(np.concatenate([np.asarray(one, dtype=np.float32) for one in odd]), REAL).max() == 1


def test_volumes_and_few_or_varied_real_images_tell_nothing() -> None:
    one = sheet(4, 4, 2)[None]
    assert sheets(one, REAL.take(np.arange(5))).max() == 1
    names = np.array([str(k) for k in range(60)])
    noise = Images(np.random.default_rng(0).random((60, 32, 32)).astype(np.float32), names, names)
    assert sheets(one, noise).max() == 1
    assert sheets(np.zeros((2, 8, 8, 8), dtype=np.float32), REAL).tolist() == [[1, 1]] * 2


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((128, 256), [1, 2]),  # input and output, side by side
        ((522, 522), [4, 4]),  # lines of two pixels, around too
        ((518, 518), [4, 4]),  # between alone
        ((256, 256), [1, 1]),  # a finer image
        ((512, 512), [1, 1]),
        ((130, 200), [1, 1]),
        ((64, 64), [1, 1]),
    ],
)
def test_a_multiple_of_the_usual_size(shape: tuple[int, int], parts: list[int]) -> None:
    found = sheets_by_size([(128, 128)] * 3 + [shape])
    assert found.tolist() == [[1, 1]] * 3 + [parts]


def test_sizes_that_vary_tell_nothing() -> None:
    assert sheets_by_size([(128, 128), (128, 256), (100, 90), (522, 522)]).max() == 1
    assert sheets_by_size([]).shape == (0, 2)


def test_notes_name_sheets() -> None:
    assert sheet_notes(np.ones((3, 2), dtype=np.int64)) == []
    note = sheet_notes(np.array([[1, 1], [2, 2], [1, 2]]))[0]
    assert note.startswith("2 synthetic images seem to be sheets of several images")
    assert note.endswith("sample 1 (2 x 2), sample 2 (1 x 2)")
