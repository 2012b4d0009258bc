from __future__ import annotations

import numpy as np
from memobench.report.sheet import mosaic


def test_a_mosaic_holds_the_images_in_order_row_by_row() -> None:
    images = np.linspace(0, 0.9, 40, dtype=np.float32)[:, None, None] * np.ones((1, 3, 5), dtype=np.float32)
    made = mosaic(images)
    assert made.shape == (18, 30)
    assert np.array_equal(made[3:6, 5:10], images[7])
    assert np.array_equal(made[-3:, -5:], images[35])  # the 36th is the last


def test_of_volumes_the_middle_slices_are_shown_and_missing_images_are_white() -> None:
    volumes = np.stack([np.full((2, 2), k / 4, dtype=np.float32) for k in range(4)])[None]
    made = mosaic(volumes)
    assert np.array_equal(made[:, :2], volumes[0, 2])
    assert (made[:, 2:] == 1).all()
