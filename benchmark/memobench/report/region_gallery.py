"""Copied regions of a run: the list, and a picture of the strongest ones with their boxes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from memobench.images import Images
from memobench.report.gallery import write_png
from memobench.results import RegionCall, RegionsFound

COLUMNS, ROWS = 4, 3


def regions_csv(found: RegionsFound) -> str:
    """The samples that repeat a region of a real image, as comma-separated values, the strongest first.

    Columns: ``sample``, its row in ``samples.npz``; ``patient`` and ``training_image``, empty for a held-out patient;
    ``certain``; ``score``, ``p_value``, ``share`` of the image; ``region`` and ``region_in_training_image``, first and
    one past the last pixel along each axis ("0:32 8:64").
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("sample", "patient", "training_image", "certain", "score", "p_value", "share")
    writer.writerow([*names, "region", "region_in_training_image"])
    for call in found.calls:
        of = ["held out", ""] if call.image < 0 else [call.patient, call.image]
        how = ["yes" if call.certain else "", f"{call.score:.4f}", f"{call.p_value:.3g}", f"{call.share:.4f}"]
        writer.writerow([call.sample, *of, *how, _place(call.box), _place(call.source)])
    return text.getvalue()


def draw_regions(file: Path, samples: NDArray[np.float32], train: Images, found: RegionsFound) -> None:
    """Write a PNG of the strongest copied regions, one for each training patient: sample and training image, boxed.

    Args:
        file: Where to write, atomically.
        samples: (N, *S).
        train: The training images.
        found: What was found; nothing is written where no training patient's region is repeated.
    """
    chosen: dict[str, RegionCall] = {}
    for call in found.calls:
        if call.image >= 0:
            chosen.setdefault(call.patient, call)
    calls = list(chosen.values())[: COLUMNS * ROWS]
    if not calls:
        return
    figure = Figure(figsize=(2.9 * COLUMNS, 1.7 * ROWS + 0.5), layout="constrained")
    figure.suptitle("copied regions: sample (left) and training image (right), each with the region", fontsize=9)
    panels = list(figure.subplots(ROWS, COLUMNS, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    for panel, call in zip(panels, calls, strict=False):
        left = _plane(samples[call.sample], call.box)
        right = _plane(train.pixels[call.image], call.source)
        panel.imshow(np.hstack([left, np.ones((len(left), 2)), right]), cmap="gray", vmin=0, vmax=1)
        for box, offset in ((call.box, 0), (call.source, left.shape[1] + 2)):
            (top, bottom), (first, last) = box[-2:]
            corner = (first + offset - 0.5, top - 0.5)
            panel.add_patch(Rectangle(corner, last - first, bottom - top, fill=False, color="#e02020"))
        words = "certain" if call.certain else "called"
        panel.set_title(f"sample {call.sample}: {100 * call.share:.0f}%, score {call.score:.2f}, {words}", fontsize=7)
    write_png(figure, file)


def _place(box: Sequence[tuple[int, int]]) -> str:
    return " ".join(f"{first}:{last}" for first, last in box)


def _plane(image: NDArray[np.float32], box: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """A 2D image; of a volume the plane in the middle of the box."""
    return image if image.ndim == 2 else image[sum(box[0]) // 2]
