"""The contact sheet: samples as they come beside real images of test patients, so that quality can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memobench.report.gallery import middle_plane, write_png
from memobench.results import Result

COLUMNS, ROWS = 6, 6


def draw_sheet(file: Path, samples: NDArray[np.float32], test: NDArray[np.float32], result: Result) -> None:
    """Write a PNG of the first samples, which are as good as any, beside the first test images.

    Args:
        file: Where to write, atomically.
        samples: (N, *S).
        test: (M, *S) images of patients that the generator never saw.
        result: For the title.
    """
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    named = result.identity
    figure.suptitle(
        f"{named.model} on {named.task} ({named.data}), preset {result.preset}, seed {named.seed}", fontsize=9
    )
    for panel, images, title in zip(figure.subplots(1, 2), (samples, test), ("synthetic", "real"), strict=True):
        panel.set_axis_off()
        panel.set_title(title, fontsize=9)
        panel.imshow(mosaic(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    write_png(figure, file)


def mosaic(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, *S) to one picture of at most 6 by 6 images, of volumes the middle slices; what is missing is white.

    >>> mosaic(np.zeros((7, 2, 2), dtype=np.float32)).shape
    (4, 12)
    """
    planes = [middle_plane(image) for image in images[: COLUMNS * ROWS]]
    rows = -(-len(planes) // COLUMNS)
    planes += [np.ones_like(planes[0])] * (rows * COLUMNS - len(planes))
    return np.vstack([np.hstack(planes[k * COLUMNS : (k + 1) * COLUMNS]) for k in range(rows)])
