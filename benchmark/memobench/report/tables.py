"""The tables of results: one run as the terminal shows it, and many as a board."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from tabulate import tabulate

from memobench.report.words import MEMORIZATION, OTHER, QUALITY, entry_of, shown, shown_interval, shown_value, stem_of
from memobench.results import Metric, Result, TrainingCost

WIDTH = 120  # characters of a line of text
FEW = (  # what is shown unless all is asked for
    "copy_rate",
    "train_share",
    "memorized_patients",
    "leaked_patients",
    "sensitivity",
    "copy_rate_corrected",
    "region_copy_rate",
    "smallest_region",
    "fd_ssl",
    "precision",
    "recall",
)
FILES = "result.json, gallery.png, samples.png, calls.csv, samples.npz, scores.npz"


def summary(result: Result, folder: Path | None = None, *, every: bool = False) -> str:
    """The result as the terminal shows it: a table, notes, where the files are, and last the decision.

    Args:
        result: The result.
        folder: Of its files; None where they are not named.
        every: Show all metrics instead of the few that answer whether it copies and how good it is.
    """
    identity, counts = result.identity, result.counts
    head = (
        f"{identity.model} on {identity.task} ({identity.data}, {'x'.join(map(str, identity.shape))}): "
        f"{counts['train_images']} training images of {counts['train_patients']} patients, "
        f"{counts['holdout_images']} of {counts['holdout_patients']} held out, {counts['samples']} samples"
    )
    rows: list[list[str]] = []
    for title, names in (
        ("MEMORIZATION", list(MEMORIZATION)),
        ("QUALITY, against test patients", _quality_names(result)),
        ("OTHER SCORES of the field, not ranked", list(OTHER)),
    ):
        chosen = [name for name in names if name in result.metrics and (every or name in FEW)]
        if chosen:
            rows += [*([[""] * 6] if rows else []), [title, *[""] * 5]]
            rows += [_row(name, result.metrics[name]) for name in chosen]
    headers = ["metric", "value", "95% interval", "null", "p", "what it says"]
    table = tabulate(rows, headers, tablefmt="simple", disable_numparse=True, stralign="left")
    lines = [head, "", table, "", "null: the value when nothing is copied; for quality, what real images of other"]
    lines += ["patients get. p: how often chance alone would do as much.", ""]
    texts = [f"Note: {note}." for note in result.notes]
    texts += [training_line(result.training)] if result.training else []
    texts += [] if every else [f"{len(result.metrics)} metrics were measured: --all shows them, and result.json."]
    texts += [f"Files: {folder}{os.sep} ({FILES})"] if folder else []
    lines += [fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) for text in texts]
    return "\n".join([*lines, "", fill(f"Decision: {result.decision.sentence}", WIDTH)])


def training_line(cost: TrainingCost) -> str:
    """Throughput and memory of a fit in one line.

    >>> from memobench.results import NetworkCost
    >>> network = NetworkCost(steps=2, images=64, seconds=0.5, images_per_second=128.0)
    >>> cost = TrainingCost(networks={"vae": network}, peak_memory=3 * 2**29, peak_memory_of="GPU", processes=2,
    ...     precision="bfloat16", compiled=False)
    >>> training_line(cost)
    'Training: vae 128 images/s (bfloat16, 2 processes); peak memory 1.50 GiB (GPU).'
    """
    speeds = ", ".join(f"{name} {one.images_per_second:,.0f} images/s" for name, one in cost.networks.items())
    how = [cost.precision, *(["compiled"] if cost.compiled else [])]
    how += [f"{cost.processes} processes"] if cost.processes > 1 else []
    speeds = f"{speeds} ({', '.join(how)}); " if speeds else ""
    return f"Training: {speeds}peak memory {cost.peak_memory / 2**30:.2f} GiB ({cost.peak_memory_of})."


def board(results: Sequence[Result], style: str = "simple") -> str:
    """Results as one table, the smallest copy rate first, then by quality.

    Args:
        results: Any results.
        style: A table format of tabulate, for example "simple" or "github".
    """
    columns = ["copy_rate", "memorized_patients", "train_share", "fd_ssl", "recall"]
    ordered = sorted(results, key=lambda r: (r.identity.task, *_rank(r)))
    rows = [
        [
            result.identity.task,
            ", ".join([result.identity.model, *(f"{name}={value}" for name, value in result.settings.items())])
            + (" (control)" if result.control else ""),
            str(result.counts.get("train_patients", "")),
            result.preset,
            str(result.identity.seed),
            *(_cell(name, result.metrics.get(name)) for name in columns),
            result.run_id.rsplit("-", 1)[-1],
        ]
        for result in ordered
    ]
    headers = ["task", "model", "patients", "preset", "seed", *(entry_of(name).label for name in columns), "run"]
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def _quality_names(result: Result) -> list[str]:
    """The quality metrics of a result in the order of ``QUALITY``."""
    order = list(QUALITY)
    stems = {name: stem_of(name) for name in result.metrics if name not in OTHER}
    return sorted((name for name in stems if stems[name] in QUALITY), key=lambda name: (order.index(stems[name]), name))


def _rank(result: Result) -> tuple[float, float]:
    rate = result.metrics["copy_rate"]
    at_zero = (rate.low or 0.0) <= 0
    quality = result.metrics.get("fd_ssl")  # missing where there were too few samples to measure it
    return (0.0 if at_zero else rate.value, math.inf if quality is None else quality.value)


def _row(name: str, metric: Metric) -> list[str]:
    entry = entry_of(name)
    interval = shown_interval(name, metric)
    p = "" if metric.p_value is None else f"{metric.p_value:.4f}"
    return [entry.label, shown_value(name, metric), interval, shown(metric.null, entry.style), p, entry.meaning]


def _cell(name: str, metric: Metric | None) -> str:
    if metric is None:
        return "missing"
    interval = shown_interval(name, metric)
    return shown_value(name, metric) + (f" [{interval}]" if interval else "")
