"""Results in the formats of other places: a model repository on the Hub, a model card, an evaluation database, papers.

| format | what it is |
|---|---|
| ``eval-results`` | ``.eval_results/*.yaml`` of a model repository on the Hub (huggingface.co/docs/hub/eval-results) |
| ``every-eval-ever`` | the schema 0.2.1 of github.com/evaleval/every_eval_ever, JSON |
| ``model-card`` | a section in Markdown |
| ``csv`` | one line for each metric of each run |
| ``latex`` | a table, one line for each run |

Every number keeps its interval and its null; the decision goes wherever text goes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from memobench.base.errors import UsageError
from memobench.base.version import VERSION
from memobench.report.words import MEMORIZATION, OTHER, QUALITY, entry_of, shown, shown_interval, shown_value, stem_of
from memobench.results import Metric, Result

MAIN = ("copy_rate", "memorized_patients", "train_share", "region_copy_rate", "fd_ssl", "recall", "sensitivity")
CSV_COLUMNS = ("run_id", "task", "data", "model", "preset", "seed", "decision", "metric")
CSV_PARTS = ("value", "low", "high", "null", "p_value", "better")
SCHEMA = "0.2.1"
DATASET = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Destination:
    """Where results go.

    Attributes:
        dataset: Of ``eval-results``: the benchmark's data set on the Hub, OWNER/NAME, whose ``eval.yaml`` has a task
            ``<task>_<metric>`` for each metric.
        model: The model's name on the Hub, OWNER/NAME; "" for the name in the result.
        link: An https address with more about the results; "" for none.
        time: Seconds since 1970, when the record is made.
    """

    dataset: str = ""
    model: str = ""
    link: str = ""
    time: int = 0


def exported(results: Sequence[Result], style: str, where: Destination) -> str:
    """Results as text in one of :data:`memobench.settings.PLACES`.

    Args:
        results: One at least; ``every-eval-ever`` takes one alone.
        style: The format.
        where: Where it goes.

    Raises:
        UsageError: A word is missing, is no name or no address, or there are several results where one is wanted.
    """
    if where.link and not re.fullmatch(r"https://\S+", where.link):
        raise UsageError(f'--link "{where.link[:80]}" is no address; give https://...')
    if where.model and not DATASET.fullmatch(where.model):
        raise UsageError(f'--hub-model "{where.model[:80]}" is no name on the Hub; give OWNER/NAME')
    if style == "eval-results":
        return eval_results(results, where)
    if style == "every-eval-ever":
        if len(results) != 1:
            raise UsageError(f"a record of {style} is of one run; give one, not {len(results)}")
        return json.dumps(every_eval_ever(results[0], where), indent=1, ensure_ascii=False) + "\n"
    if style == "csv":
        return _csv(results)
    return _latex(results) if style == "latex" else "\n".join(model_card(one) for one in results)


def eval_results(results: Sequence[Result], where: Destination) -> str:
    """The YAML of ``.eval_results/<name>.yaml``: the main metrics of each run.

    Raises:
        UsageError: No data set is named.
    """
    if not DATASET.fullmatch(where.dataset):
        raise UsageError("eval-results name the benchmark's data set on the Hub; give --dataset OWNER/NAME")
    lines = []
    for result in results:
        for name, metric in _main(result).items():
            lines += [
                "- dataset:",
                f"    id: {_quoted(where.dataset)}",
                f"    task_id: {_quoted(f'{result.identity.task}_{name}')}",
                f"  value: {metric.value!r}",
            ]
            if where.link:
                lines += ["  source:", f"    url: {_quoted(where.link)}", f"    name: {_quoted(result.run_id)}"]
            lines.append(f"  notes: {_quoted(_note(result, name, metric))}")
    return "\n".join(lines) + "\n"


def every_eval_ever(result: Result, where: Destination) -> dict[str, Any]:
    """A record of one run in the schema of Every Eval Ever, all of its metrics."""
    identity = result.identity
    name = where.model or f"memobench/{identity.model}"
    source: dict[str, Any] = {"dataset_name": f"memobench {identity.task} on {identity.data}"}
    source |= {"source_type": "url", "url": [where.link]} if where.link else {"source_type": "other"}
    source["additional_details"] = {
        "task_version": identity.task_version,
        "split_digest": identity.split_digest,
        **({"split_ids": identity.split_ids} if identity.split_ids else {}),
    }
    details = {"run_id": result.run_id, "preset": result.preset, "seed": str(identity.seed)}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"memobench-{identity.task}/{name}/{where.time}",
        "retrieved_timestamp": str(where.time),
        "source_metadata": {
            "source_name": "memobench",
            "source_type": "evaluation_run",
            "source_organization_name": "memobench",
            "evaluator_relationship": "other",
            "additional_details": {
                "decision": result.decision.word,
                "sentence": result.decision.sentence,
                "detector_version": identity.detector_version,
                "measure_version": identity.measure_version,
            },
        },
        "eval_library": {"name": "memobench", "version": result.environment.get("memobench", VERSION)},
        "model_info": {
            "name": identity.model,
            "id": name,
            "additional_details": {**details, **{key: str(value) for key, value in identity.parameters.items()}},
        },
        "evaluation_results": [
            _evaluation(result, metric_name, metric, source) for metric_name, metric in result.metrics.items()
        ],
    }


def model_card(result: Result) -> str:
    """A section of a model card: the decision first, then the figures with what they are measured against."""
    identity, counts = result.identity, result.counts
    rows = [
        [
            entry_of(name).label,
            shown_value(name, metric),
            shown_interval(name, metric),
            shown(metric.null, entry_of(name).style),
            entry_of(name).meaning,
        ]
        for name, metric in _main(result).items()
    ]
    headers = ["metric", "value", "95% interval", "null", "what it says"]
    table = tabulate([[_cell(cell) for cell in row] for row in rows], headers, tablefmt="github", disable_numparse=True)
    data = "embedded phantom data" if identity.data == "phantom" else identity.data
    where = result.identity.origin.words if result.identity.origin is not None else "trained by memobench"
    return "\n".join(
        [
            "## Memorization and image quality",
            "",
            f"**{result.decision.word.capitalize()}.** {_cell(result.decision.sentence)}",
            "",
            f"Measured by memobench {_cell(result.environment.get('memobench', VERSION))} on task `{identity.task}` "
            f"({_cell(data)}, {'x'.join(map(str, identity.shape))}): {counts.get('samples', identity.samples)} samples "
            f"against {counts.get('train_patients', 0)} training and {counts.get('holdout_patients', 0)} held-out "
            f"patients; {_cell(where)}.",
            "",
            table,
            "",
            "Null: the value if nothing were copied; for quality, what real images of other patients get. Copies are "
            f"found at the stated sensitivity alone. Run `{_cell(result.run_id)}`.",
            "",
        ]
    )


def _main(result: Result) -> dict[str, Metric]:
    return {name: result.metrics[name] for name in MAIN if name in result.metrics}


def _evaluation(result: Result, name: str, metric: Metric, source: dict[str, Any]) -> dict[str, Any]:
    known = name in MEMORIZATION or name in OTHER or stem_of(name) in QUALITY
    score: dict[str, Any] = {"score": metric.value}
    held = {"null": metric.null, "p_value": metric.p_value, "note": metric.note}
    score["details"] = {key: str(value) for key, value in held.items() if value is not None}
    if metric.low is not None and metric.high is not None:
        interval = {"lower": metric.low, "upper": metric.high, "confidence_level": 0.95, "method": "over patients"}
        score["uncertainty"] = {"confidence_interval": interval, "num_samples": result.identity.samples}
    return {
        "evaluation_name": f"{result.identity.task}_{name}",
        "source_data": source,
        "metric_config": {
            "evaluation_description": entry_of(name).meaning if known else name.replace("_", " "),
            "lower_is_better": metric.better == "lower",
            "additional_details": {"better": metric.better},
        },
        "score_details": score,
    }


def _note(result: Result, name: str, metric: Metric) -> str:
    """The interval, the null and the conditions in a line."""
    identity = result.identity
    parts = [f"95% interval {shown_interval(name, metric)}"] if shown_interval(name, metric) else []
    parts += [f"null {shown(metric.null, entry_of(name).style)}"] if metric.null is not None else []
    parts += [
        f"{identity.task} version {identity.task_version} on {identity.data}",
        f"detector {identity.detector_version}",
        f"measure {identity.measure_version}",
        f"{identity.samples} samples",
        f"seed {identity.seed}",
        f"decision: {result.decision.word}",
    ]
    return "; ".join(parts)


def _quoted(text: str) -> str:
    """A text as YAML reads it, whatever is in it: JSON is YAML."""
    return json.dumps(text, ensure_ascii=True)


def _csv(results: Sequence[Result]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *CSV_PARTS])
    for result in results:
        identity = result.identity
        head = [result.run_id, identity.task, identity.data, identity.model, result.preset, identity.seed]
        for name, metric in sorted(result.metrics.items()):
            figures = [getattr(metric, part) for part in CSV_PARTS]
            cells = [*head, result.decision.word, name, *("" if one is None else one for one in figures)]
            writer.writerow([harmless(cell) for cell in cells])
    return out.getvalue()


def harmless(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: such a text is led by an apostrophe.

    >>> harmless("=1+1"), harmless("ldm"), harmless(-0.5)
    ("'=1+1", 'ldm', -0.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _latex(results: Sequence[Result]) -> str:
    headers = ["task", "model", "seed", "decision", *(entry_of(name).label for name in MAIN)]
    rows = []
    for result in results:
        identity = result.identity
        task = identity.task if identity.data == "phantom" else f"{identity.task}, {identity.data}"
        cells = [task, identity.model, str(identity.seed), result.decision.word]
        for name in MAIN:
            metric = result.metrics.get(name)
            interval = "" if metric is None else shown_interval(name, metric)
            value = "--" if metric is None else shown_value(name, metric)
            cells.append(f"{value} ({interval})" if interval else value)
        rows.append(cells)
    table: str = tabulate(rows, headers, tablefmt="latex_booktabs", disable_numparse=True)
    return table + "\n"


def _cell(text: str) -> str:
    r"""A text in a line of Markdown: no HTML, no further column.

    >>> _cell("a|b <i>")
    'a\\|b &lt;i&gt;'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
