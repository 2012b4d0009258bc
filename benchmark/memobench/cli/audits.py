"""``bench audit``: a synthetic data set that somebody made elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from memobench.audit.settings import AuditSettings
from memobench.cli.options import as_json_option, execution_options, settings_options
from memobench.execution.settings import Execution

if TYPE_CHECKING:
    from memobench.measure.decision import Findings


@click.command("audit")
@settings_options(AuditSettings)
@click.option(
    "--fail-above",
    type=click.FloatRange(0, 1),
    help='Exit 1 on "do not release", or if more than this share of the images could be copies.',
)
@execution_options
@as_json_option
def audit_command(settings: AuditSettings, fail_above: float | None, execution: Execution, as_json: bool) -> None:
    """Say whether a synthetic data set is safe to share, and which of its images to hold back.

    Example: bench audit --synthetic made/ --train real/train --holdout real/holdout --clean cleaned/

    With --generator diffusers:made/pipeline in place of --synthetic the images are drawn from it, into --out.

    The folder --out is confidential; what may be handed on stands in its folder public/, and --clean holds images
    alone. A policy sets any of largest_copy_rate, largest_patients, least_sensitivity and least_holdout_patients.

    Exit status: 0 the audit was done, whatever its decision; 1 it failed, the policy is not met, or --fail-above was
    given and the decision is "do not release" or more than that share could be copies; 2 wrong usage.
    """
    from memobench.audit.public import policy_words
    from memobench.audit.run import audit_folders
    from memobench.base.terminal import say, track

    report = audit_folders(settings, execution=execution, track=track, say=say)
    out = settings.out
    result = report.result
    lines = [result.decision.sentence, result.guarantee]
    lines += [policy_words(result.policy)] if result.policy is not None else []
    click.echo(result.model_dump_json(indent=1) if as_json else "\n".join(lines))
    if report.cleaned is not None:
        cleaned = report.cleaned
        say(f"{cleaned.kept} files copied to {settings.clean}; {cleaned.left_out} left out ({out}/left_out.csv)")
    say(f"Confidential: {out}/ (report.html, audit.json, audit.csv, left_out.csv). To hand on: {out}/public/")
    if settings.store:
        say(f"Stored stages hold the real images: delete {out}/.stages when you are done, or use --no-store")
    failed = False
    if result.policy is not None and not result.policy.passed:
        say(f"bench: the policy is not met: {'; '.join(result.policy.reasons)}")
        failed = True
    if fail_above is not None and (why := above(report.findings, fail_above)):
        say(f"bench: {why}")
        failed = True
    if failed:
        sys.exit(1)


def above(findings: Findings, share: float) -> str:
    """Why a set fails ``--fail-above``; empty where it does not."""
    from memobench.measure.decision import decide_set, percent

    if decide_set(findings).word == "do not release":
        return 'the decision is "do not release", so --fail-above fails'
    if findings.most > share:
        return f"up to {percent(findings.most)} of the images could be copies, above --fail-above {percent(share)}"
    return ""
