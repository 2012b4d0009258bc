"""The pictures of an audit's report, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from memobench.audit.measure import Audited
from memobench.report.gallery import middle_plane

SIDE = 192  # pixels of a picture's side, about


def score_plot(audited: Audited) -> bytes:
    """How strongly the synthetic images match train and holdout, and how strongly new patients' images do.

    Shares are of all images; one without any match on a side is not drawn for that side.
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    shown = [("training patients", audited.train_score, "#b2182b")]
    if audited.holdout_score is not None:
        shown.append(("held-out patients", audited.holdout_score, "#2166ac"))
    shown.append(("real images against other patients", audited.null_scores, "0.55"))
    low = min(float(scores[np.isfinite(scores)].min(initial=0.0)) for _, scores, _ in shown)
    high = max(max(float(scores.max()) for _, scores, _ in shown), audited.threshold.tau)
    edges = np.linspace(low, high + 1e-6, 60)
    for name, scores, colour in shown:
        share = np.histogram(scores, edges)[0] / len(scores)
        axes.stairs(share, edges, label=name, color=colour, linewidth=1.6)
    axes.axvline(audited.threshold.tau, color="black", linewidth=1, linestyle="--", label="threshold of a copy")
    axes.set_xlabel("strongest match of an image (log odds of a copy)")
    axes.set_ylabel("share of images")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()


def boxed_picture(
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    boxes: tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]],
) -> bytes:
    """Two images side by side, each with the edge of a box; of volumes, the plane in the middle of the box.

    Args:
        images: (*S) in [0, 1], a synthetic and a training image.
        boxes: First and one past the last pixel along each axis, of each.
    """
    shown = []
    for image, box in zip(images, boxes, strict=True):
        plane, around = (image, box) if image.ndim == 2 else (image[sum(box[0]) // 2], box[1:])
        zoom = max(1, round(SIDE / plane.shape[0]))
        large = np.rint(plane.repeat(zoom, axis=0).repeat(zoom, axis=1) * 255).astype(np.uint8)
        shown.append(Image.fromarray(large).convert("RGB"))
        (top, bottom), (left, right) = around
        edge = (left * zoom, top * zoom, right * zoom - 1, bottom * zoom - 1)
        ImageDraw.Draw(shown[-1]).rectangle(edge, outline=(230, 30, 30), width=2)
    gap = 4
    picture = Image.new("RGB", (sum(one.width for one in shown) + gap, shown[0].height), "white")
    picture.paste(shown[0], (0, 0))
    picture.paste(shown[1], (shown[0].width + gap, 0))
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def pair_picture(synthetic: NDArray[np.float32], laid: NDArray[np.float32]) -> bytes:
    """A synthetic image, the training image laid over it, and their difference, side by side.

    Args:
        synthetic: (*S) in [0, 1].
        laid: (*S) in [0, 1].
    """
    first, second = middle_plane(synthetic), middle_plane(laid)
    difference = np.clip(0.5 + (first - second), 0, 1)  # grey where they agree
    gap = np.ones((first.shape[0], 2), dtype=np.float32)
    row = np.hstack([first, gap, second, gap, difference])
    zoom = max(1, round(SIDE / first.shape[0]))
    picture = Image.fromarray(np.rint(row * 255).astype(np.uint8))
    picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()
