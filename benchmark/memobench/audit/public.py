"""What may be handed on: figures and words without any image, patient, or name of a real file.

| file | what is in it |
|---|---|
| ``report.html`` | the decision, the figures, a paragraph for an ethics board |
| ``report.json`` | the same for programs |
| ``files.sha256`` | the synthetic files that were kept, each with its digest |
| ``croissant.json`` | a release card in Croissant 1.0 (JSON-LD) |
| ``README.md`` | a data set card |

The two cards name the SHA-256 of ``report.json`` and of ``files.sha256``, so that their figures can be checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from memobench.audit.results import AuditResult, PolicyOutcome
from memobench.measure.decision import Findings, decide_set, planted_words
from memobench.report.words import entry_of, shown, shown_interval, shown_value

FIGURES = (
    "copy_rate",
    "copy_rate_corrected",
    "memorized_patients",
    "train_share",
    "false_discovery_rate",
    "sensitivity",
    "region_copy_rate",
    "smallest_region",
)
HOW = "sha256sum -c files.sha256, run where the images lie; and sha256sum report.json files.sha256"


@dataclass(frozen=True)
class Public:
    """What the public folder is made from.

    Attributes:
        result: The audit; only its figures are used.
        findings: What the decision rests on; names are taken off.
        kept: Relative paths of the synthetic files that are kept.
        digests: SHA-256 of each of them.
        cleaned: Whether they were copied with ``--clean``.
    """

    result: AuditResult
    findings: Findings
    kept: Sequence[str]
    digests: Sequence[str]
    cleaned: bool


def public_files(public: Public) -> dict[str, str]:
    """Name and text of each file of the public folder."""
    listing = "".join(f"{digest}  {file}\n" for digest, file in zip(public.digests, public.kept, strict=True))
    about = figures(public, _sha(listing))
    report = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    return {
        "report.html": _page(about),
        "report.json": report,
        "files.sha256": listing,
        "croissant.json": json.dumps(_croissant(about, _sha(report)), indent=1, ensure_ascii=False) + "\n",
        "README.md": _card(about, _sha(report)),
    }


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def figures(public: Public, listing: str) -> dict[str, Any]:
    """``report.json``: what is known of the set, in numbers and words that name nobody.

    Args:
        public: What it is made from.
        listing: SHA-256 of ``files.sha256``.
    """
    result = public.result
    decision = decide_set(public.findings)
    nameless = decide_set(_nameless(public.findings))
    kept, images = len(public.kept), result.counts["synthetic_images"]
    metrics = {name: result.metrics[name] for name in FIGURES if name in result.metrics}
    return {
        "decision": {"word": decision.word, "sentence": nameless.sentence, "reasons": list(nameless.reasons)},
        "policy": None if result.policy is None else result.policy.model_dump(),
        "counts": {**result.counts, "kept_files": kept, "left_out_images": _left_out(result)},
        "figures": {
            name: {"value": metric.value, "low": metric.low, "high": metric.high, "p_value": metric.p_value}
            for name, metric in metrics.items()
        },
        "shown": [
            [entry_of(name).label, shown_value(name, metric), shown_interval(name, metric), entry_of(name).meaning]
            for name, metric in metrics.items()
        ],
        "kept": {
            name: {"value": metric.value, "low": metric.low, "high": metric.high}
            for name, metric in result.cleaned.items()
            if name in FIGURES
        },
        "planted": [[kind, share] for kind, share in public.findings.weakest],
        "ethics": ethics_words(public.findings, images, _left_out(result)),
        "not_seen": planted_words(public.findings),
        "files": {"count": kept, "sha256": listing, "copied": public.cleaned},
        "versions": {
            "memobench": result.environment.get("memobench", ""),
            "detector": result.detector_version,
            "measure": result.measure_version,
            "preset": public.findings.preset,
        },
        "audit": result.audit_id,
    }


def ethics_words(findings: Findings, images: int, left_out: int) -> str:
    """A paragraph for an ethics board: what was compared, what was found, what this does not show."""
    held_out = (
        f"and, in the same way, with images of {findings.holdout_patients} patients who were held out of the training"
        if findings.holdout_patients
        else "; no patients were held out, so chance was estimated from the training patients alone"
    )
    joined = " " if findings.holdout_patients else ""
    sentence = decide_set(_nameless(findings)).sentence
    return (
        f"{images} synthetic images were compared with the images of {findings.train_patients} patients from which the "
        f"generator had learned{joined}{held_out}. {sentence} {left_out} images were left out of the files that may be "
        "handed on, because they match a real patient too closely, could not be compared, or carry a real name. The "
        "comparison shows whether images, or large parts of them, were copied. It does not show that nothing else can "
        "be learned about the patients, for example that one of them took part or has a rare disease. The full report, "
        "which names patients, stays with the institution."
    )


def policy_words(policy: PolicyOutcome | None) -> str:
    """The outcome of the policy in a sentence; empty where none was given."""
    if policy is None:
        return ""
    limits = ", ".join(f"{name} {value:g}" for name, value in policy.limits.items())
    if policy.passed:
        return f"The set passes the policy ({limits})."
    return f"The set does not pass the policy ({limits}): {'; '.join(policy.reasons)}."


def _nameless(findings: Findings) -> Findings:
    return replace(findings, names=(), where="")


def _left_out(result: AuditResult) -> int:
    return sum(image.left_out is not None for image in result.images)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _page(about: dict[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(files("memobench.audit").joinpath("public.html.j2").read_text("utf-8"))
    policy = None if about["policy"] is None else PolicyOutcome.model_validate(about["policy"])
    planted = [[kind, shown(share, "percent")] for kind, share in about["planted"]]
    return page.render(about=about, planted=planted, policy=policy_words(policy), how=HOW)


def _limits(about: dict[str, Any]) -> str:
    note = f"{about['decision']['sentence']} {about['not_seen']}"
    if about["decision"]["word"] == "no copies found":
        return note
    return f"{note} The files listed are those that were kept; the selection was not audited again by itself."


def _croissant(about: dict[str, Any], report: str) -> dict[str, Any]:
    """A release card after https://docs.mlcommons.org/croissant/docs/croissant-spec.html (1.0)."""
    listing = about["files"]
    return {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "rai": "http://mlcommons.org/croissant/RAI/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "data": {"@id": "cr:data", "@type": "@json"},
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "examples": {"@id": "cr:examples", "@type": "@json"},
            "extract": "cr:extract",
            "field": "cr:field",
            "fileProperty": "cr:fileProperty",
            "fileObject": "cr:fileObject",
            "fileSet": "cr:fileSet",
            "format": "cr:format",
            "includes": "cr:includes",
            "isLiveDataset": "cr:isLiveDataset",
            "jsonPath": "cr:jsonPath",
            "key": "cr:key",
            "md5": "cr:md5",
            "parentField": "cr:parentField",
            "path": "cr:path",
            "recordSet": "cr:recordSet",
            "references": "cr:references",
            "regex": "cr:regex",
            "repeated": "cr:repeated",
            "replace": "cr:replace",
            "separator": "cr:separator",
            "source": "cr:source",
            "subField": "cr:subField",
            "transform": "cr:transform",
            "column": "cr:column",
            "citeAs": "cr:citeAs",
        },
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": f"synthetic-medical-images-{about['audit']}",
        "description": f"{listing['count']} files of synthetic medical images. {_limits(about)}",
        "rai:dataLimitations": _limits(about),
        "rai:personalSensitiveInformation": about["ethics"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "files.sha256",
                "name": "files.sha256",
                "description": "The files that were kept, each with its SHA-256",
                "contentUrl": "files.sha256",
                "encodingFormat": "text/plain",
                "sha256": listing["sha256"],
            },
            {
                "@type": "cr:FileObject",
                "@id": "report.json",
                "name": "report.json",
                "description": "The figures of the audit",
                "contentUrl": "report.json",
                "encodingFormat": "application/json",
                "sha256": report,
            },
        ],
    }


def _card(about: dict[str, Any], report: str) -> str:
    """A data set card: Markdown with a YAML header, whose values are JSON texts and so YAML too."""
    head = {
        "pretty_name": f"Synthetic medical images {about['audit']}",
        "tags": ["synthetic", "medical", "images"],
        "memobench": {
            "decision": about["decision"]["word"],
            "files": about["files"]["count"],
            "files_sha256": about["files"]["sha256"],
            "report_sha256": report,
            "copy_rate": about["figures"]["copy_rate"],
            "policy_passed": None if about["policy"] is None else about["policy"]["passed"],
            "version": about["versions"]["memobench"],
        },
    }
    yaml = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items())
    policy = None if about["policy"] is None else PolicyOutcome.model_validate(about["policy"])
    rows = "\n".join(f"| {label} | {value} | {interval} |" for label, value, interval, _ in about["shown"])
    return (
        f"---\n{yaml}\n---\n# Synthetic medical images\n\n**Decision: {about['decision']['word']}.** "
        f"{_limits(about)}\n\n{policy_words(policy)}\n\n| measure | value | 95% interval |\n|---|---|---|\n{rows}\n\n"
        f"## For an ethics board\n\n{about['ethics']}\n\n"
        f"## Checking these figures\n\n`{HOW}`\n\n| file | SHA-256 |\n|---|---|\n"
        f"| files.sha256 | {about['files']['sha256']} |\n| report.json | {report} |\n"
    )
