"""The report of an audit: one HTML file that needs nothing else, and the list of all images as CSV; confidential."""

from __future__ import annotations

import base64
import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from memobench.audit.clean import MARK, plain_cell
from memobench.audit.measure import CLEAN_TAIL
from memobench.audit.public import policy_words
from memobench.audit.results import AuditedImage, AuditResult, place_words
from memobench.report.words import MEMORIZATION, QUALITY, entry_of, shown, shown_interval, shown_value, stem_of

ROWS = (
    "copy_rate",
    "memorized_patients",
    "train_share",
    "copy_evidence",
    "false_discovery_rate",
    "sensitivity",
    "copy_rate_corrected",
    "memorized_patients_corrected",
    "region_copy_rate",
    "region_patients",
    "smallest_region",
    "reidentified",
)


@dataclass(frozen=True)
class Pair:
    """A picture for the gallery: PNG bytes, and what it shows."""

    png: bytes
    text: str


@dataclass(frozen=True)
class Shown:
    """The pictures of a report.

    Attributes:
        plot: The score plot as PNG.
        pairs: The gallery of the strongest matches of whole images.
        regions: The gallery of copied regions.
    """

    plot: bytes
    pairs: Sequence[Pair]
    regions: Sequence[Pair] = ()


def html_report(result: AuditResult, pictures: Shown, *, stages: Path | None = None) -> str:
    """The report as one self-contained page; every text from outside is escaped.

    Args:
        result: What was found.
        pictures: What is shown.
        stages: Where stages stay, which hold the real images; None where they were deleted.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(files("memobench.audit").joinpath("report.html.j2").read_text("utf-8"))
    rows = []
    stems = {stem_of(name): name for name in result.metrics if name not in MEMORIZATION}
    quality = [stems[stem] for stem in QUALITY if stem in stems]
    for name in [*(n for n in ROWS if n in result.metrics), *quality]:
        metric, entry = result.metrics[name], entry_of(name)
        value, interval = shown_value(name, metric), shown_interval(name, metric)
        rows.append([entry.label, value, interval, shown(metric.null, entry.style), entry.meaning])
    found = [
        [
            row.perturbation.replace("_", " "),
            *(
                shown(row.metrics[name].value, "percent") if name in row.metrics else ""
                for name in ("sensitivity", "right_source")
            ),
        ]
        for row in result.challenge.rows
    ]
    return page.render(
        result=result,
        made=f"Made on {datetime.datetime.now().astimezone():%Y-%m-%d at %H:%M}",
        steps=next_steps(result),
        rows=rows,
        found=found,
        policy=policy_words(result.policy),
        further=further_reasons(result),
        stages=None if stages is None else str(stages),
        plot=base64.b64encode(pictures.plot).decode(),
        plot_text=plot_words(result),
        pairs=_embedded(pictures.pairs),
        regions=_embedded(pictures.regions),
        parts=_parts(result),
    )


def _embedded(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"png": base64.b64encode(pair.png).decode(), "text": pair.text} for pair in pairs]


def _parts(result: AuditResult) -> list[list[str]]:
    """Planted parts: their share of the image, and how many of them are found."""
    found = result.regions
    return [] if found is None else [[shown(one.share, "percent"), shown(one.found, "percent")] for one in found.parts]


def next_steps(result: AuditResult) -> list[str]:
    """What a data steward can do now."""
    left_out = sum(image.left_out is not None for image in result.images)
    kept, word = len(result.images) - left_out, result.decision.word
    steps = []
    if word == "do not release":
        steps.append("Do not hand these images on, and tell the people named above.")
    if left_out:
        steps.append(
            f"--clean DIR copies {kept} of the {len(result.images)} images: without those that match a real patient "
            f"more strongly than {100 * (1 - CLEAN_TAIL):.1f}% of new patients do, or lead the list. left_out.csv "
            f"lists the {left_out} others. Then audit the cleaned set: it has to be judged again."
        )
    if word != "no copies found":
        steps.append("Look at the strongest matches below with somebody who knows the images.")
    if word == "do not release":
        steps.append(
            "Train the generator again with augmentation, on more patients or for fewer steps, and keep as many "
            "patients out of the training as decoys."
        )
    if not result.counts.get("holdout_patients"):
        steps.append("Keep patients out of the next training: only then can chance be measured.")
    if word == "no copies found":
        steps.append("Look at the strongest matches below once, and keep this report.")
    if word == "do not release":
        steps.append("Nothing of this folder goes with images: the audit of the cleaned set makes its own public/.")
    else:
        steps.append("Hand on the folder public/ with the images, and nothing else of this folder.")
    return steps


def further_reasons(result: AuditResult) -> list[str]:
    """Reasons that the first paragraph and the line on the policy do not give already."""
    given = f"{result.decision.sentence} {policy_words(result.policy)}"
    policy = "The policy is not met"
    return [reason for reason in result.decision.reasons if reason not in given and not reason.startswith(policy)]


def plot_words(result: AuditResult) -> str:
    """What the score plot shows, for those who do not see it."""
    called = sum(image.copy_of is not None for image in result.images)
    return (
        f"How strongly images match: {called} of {len(result.images)} synthetic images reach the threshold of a copy "
        f"({result.threshold['tau']:.2f}) in a training patient."
    )


def images_csv(result: AuditResult) -> str:
    """All synthetic images as comma-separated values, the strongest match in train first; :func:`plain_cell` for names.

    Score and matched image are empty where no training image could be compared.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("image", "score", "p_value", "copy_of", "matched_training_image", "held_out", "left_out", "remark"),
            *("region_of", "region_image", "region_score", "region_share", "region", "region_in_training_image", MARK),
        ]
    )
    for image in sorted(result.images, key=lambda one: -one.strength):
        score = "" if image.score is None else f"{image.score:.4f}"
        p_value = "" if image.p_value is None else f"{image.p_value:.4f}"
        writer.writerow(
            [
                *(plain_cell(image.name), score, p_value),
                *(plain_cell(image.copy_of or ""), plain_cell(image.match or "")),
                *("yes" if image.held_out else "", plain_cell(image.left_out or "")),
                "nothing to compare" if image.blank else f"matched {image.pose}" if image.pose else "",
                *(*_region_cells(image), ""),
            ]
        )
    return text.getvalue()


def _region_cells(image: AuditedImage) -> list[str]:
    """The region that an image repeats: of whom, which image, how strongly, how much, where in either image."""
    region = image.region
    if region is None:
        return [""] * 6
    return [
        plain_cell(region.copy_of or "held-out patient"),
        plain_cell(region.match or ""),
        f"{region.score:.4f}",
        f"{region.share:.4f}",
        region.place,
        place_words(region.source) if region.source else "",
    ]
