"""The gallery: the strongest matches, each sample beside the training image it matches, with score and decision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memobench.results import Result
from memobench.task import Splits

COLUMNS, ROWS = 4, 3


def draw_gallery(
    file: Path, samples: NDArray[np.float32], splits: Splits, scores: Mapping[str, NDArray[Any]], result: Result
) -> None:
    """Write a PNG of the samples that match train most strongly, no training patient twice.

    Args:
        file: Where to write, atomically.
        samples: (N, *S).
        splits: For the matched training images.
        scores: The arrays of ``scores.npz``.
        result: For the threshold and the title.
    """
    chosen = strongest(scores["train_score"], splits.train.patients[scores["train_index"]], COLUMNS * ROWS)
    tau = result.threshold["tau"]
    figure = Figure(figsize=(2.9 * COLUMNS, 1.65 * ROWS + 0.8), layout="constrained")
    figure.suptitle(
        f"{result.identity.model} on {result.identity.task}: strongest matches, sample (left) and training image "
        f"(right); score: log odds of a copy\n{result.decision.sentence}",
        fontsize=9,
        wrap=True,
    )
    for panel, row in zip(figure.subplots(ROWS, COLUMNS, squeeze=False).flat, [*chosen, *[None] * 99], strict=False):
        panel.set_axis_off()
        if row is None:
            continue
        pair = [middle_plane(samples[row]), middle_plane(splits.train.pixels[scores["train_index"][row]])]
        gap = np.ones((pair[0].shape[0], 2))
        panel.imshow(np.hstack([pair[0], gap, pair[1]]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        score = float(scores["train_score"][row])
        copied = bool(scores["called"][row]) and int(scores["side"][row]) >= 0
        word = "copy" if copied else "nearer to a held-out patient" if score >= tau else "no copy"
        panel.set_title(
            f"sample {row}: score {score:.2f} (tau {tau:.2f}), {word}",
            fontsize=7,
            color="#b00020" if copied else "#303030",
        )
    write_png(figure, file)


def write_png(figure: Figure, file: Path) -> None:
    """Write a figure, atomically."""
    partial = file.with_name(f".{file.name}.part")
    with partial.open("wb") as handle:
        FigureCanvasAgg(figure).print_figure(handle, format="png", dpi=110)
    partial.replace(file)


def strongest(scores: NDArray[np.floating], patients: NDArray[np.str_], count: int) -> list[int]:
    """The rows of the highest finite scores, at most one per matched patient.

    >>> strongest(np.array([0.9, 0.8, 0.7]), np.array(["a", "a", "b"]), 2)
    [0, 2]
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    seen: set[str] = set()
    rows: list[int] = []
    for row in order.tolist():
        if str(patients[row]) not in seen:
            seen.add(str(patients[row]))
            rows.append(row)
    return rows[:count]


def middle_plane(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 2D image as it is; of a volume, the middle slice."""
    return image if image.ndim == 2 else image[len(image) // 2]
