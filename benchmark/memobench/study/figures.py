"""Figures of a study: memorization against each factor with quality beside it, and both for all arms at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from memobench.study.compare import Estimate
from memobench.study.findings import DISTANCE, RATE, SHARE, Factor

LABELS = {
    SHARE: "train share (0.5: nothing memorized)",
    RATE: "copy rate",
    DISTANCE: "Fréchet distance to test patients (lower is better)",
}
COLOURS = {SHARE: "#b2182b", RATE: "#b2182b", DISTANCE: "#2166ac"}
CORNERS = ((6, 5), (6, -12), (-6, 5), (-6, -12))  # where a point's name stands, in points from it
NOTHING = {SHARE: 0.5, RATE: 0.0}  # what nothing memorized gives
Arms = Mapping[str, Mapping[str, Estimate]]
Values = Mapping[str, Mapping[str, Sequence[float]]]


def draw_factor(stem: Path, factor: Factor, arms: Arms, values: Values, title: str) -> list[Path]:
    """Both scores of memorization, and quality, at each level of a factor: means with 95% intervals, seeds as dots.

    Args:
        stem: Files without their ending; ``.png`` and ``.svg`` are written.
        factor: What is varied.
        arms: Estimates by arm and metric.
        values: One value per seed, by arm and metric.
        title: What was run.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    figure.suptitle(f"{factor.title}: {title}", fontsize=10)
    labels = [arm.label for arm in factor.arms]
    for axes, metric in zip(figure.subplots(1, 3), LABELS, strict=True):
        for place, label in enumerate(labels):
            _point(axes, place, arms[label][metric], COLOURS[metric])
            single = values[label][metric]
            axes.plot([place + 0.14] * len(single), single, ".", color="0.55", markersize=4)
        axes.set_xticks(
            range(len(labels)), [label.replace(" ", "\n", 1).replace("_", "_\n", 1) for label in labels], fontsize=8
        )
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.set_ylabel(LABELS[metric], fontsize=8)
        if metric in NOTHING:
            axes.axhline(NOTHING[metric], color="0.6", linewidth=0.8, linestyle="--")
        else:
            axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, stem)


def draw_pareto(stem: Path, arms: Arms, title: str) -> list[Path]:
    """All arms in the plane of quality and memorization; good models lie below and to the left."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{title}\nred: no other arm is at least as good in both, and better in one", fontsize=10)
    front = pareto_front({name: (a[DISTANCE].value, a[SHARE].value) for name, a in arms.items()})
    for name, found in arms.items():
        quality, memorized = found[DISTANCE], found[SHARE]
        colour = COLOURS[SHARE] if name in front else "0.45"
        axes.errorbar(
            quality.value,
            memorized.value,
            xerr=[[quality.value - quality.low], [quality.high - quality.value]],
            yerr=[[memorized.value - memorized.low], [memorized.high - memorized.value]],
            fmt="o",
            color=colour,
            elinewidth=0.8,
            markersize=4,
        )
    axes.axhline(NOTHING[SHARE], color="0.6", linewidth=0.8, linestyle="--")
    axes.set_xlim(left=0)
    axes.set_xlabel(LABELS[DISTANCE], fontsize=9)
    axes.set_ylabel(LABELS[SHARE], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    name_points(figure, axes, {name: (found[DISTANCE].value, found[SHARE].value) for name, found in arms.items()})
    return _save(figure, stem)


def name_points(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """A name beside each point, at the first of its four corners where no other name or point lies."""
    figure.draw_without_rendering()  # the layout moves the axes, and with them what overlaps
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axes.transData.transform(list(points.values()))]
    for name, point in points.items():
        for across, up in CORNERS:
            side = "left" if across > 0 else "right"
            label = axes.annotate(name, point, (across, up), textcoords="offset points", fontsize=8, ha=side)
            place = label.get_window_extent()
            if not place.count_overlaps(taken) or (across, up) == CORNERS[-1]:
                break
            label.remove()
        taken.append(place)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> set[str]:
    """The names of those that no other is at least as good as in both, and better in one; less is better.

    >>> sorted(pareto_front({"a": (1, 3), "b": (2, 2), "c": (2, 4)}))
    ['a', 'b']
    """

    def beaten(name: str) -> bool:
        x, y = points[name]
        return any(u <= x and v <= y and (u, v) != (x, y) for u, v in points.values())

    return {name for name in points if not beaten(name)}


def _point(axes: Axes, place: float, found: Estimate, colour: str) -> None:
    reach = [[found.value - found.low], [found.high - found.value]]
    axes.errorbar(place, found.value, yerr=reach, fmt="o", color=colour, capsize=3, markersize=5)


def _save(figure: Figure, stem: Path) -> list[Path]:
    FigureCanvasAgg(figure)
    files = [stem.with_suffix(ending) for ending in (".png", ".svg")]
    with rc_context({"svg.hashsalt": "memobench"}):  # the same figure is the same file
        for file in files:
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files
