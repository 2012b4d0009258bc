"""Submissions of generators that were trained elsewhere: samples only, carried by the submission."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import UsageError
from memobench.data.samples import eight_bit, samples_digest
from memobench.outside import measure_samples
from memobench.results import SCHEMA_VERSION, Identity, Result
from memobench.settings import MeasureSettings
from memobench.submissions.check import check_submission
from memobench.submissions.older import as_present
from memobench.submissions.samples import are_of, packed_samples, read_samples
from memobench.submissions.settings import SubmitSettings, VerifySettings
from memobench.submissions.submit import submit
from memobench.submissions.verify import verify
from memobench.submissions.weigh import weigh

BYTES = np.random.default_rng(0).integers(0, 256, (48, 64, 64), dtype=np.uint8)
PIXELS = BYTES.astype(np.float32) / np.float32(255)


def _from_elsewhere(forgery: Any, trained_on: str = "task") -> Path:
    """The submission as one of samples alone, which it carries."""
    packed = packed_samples(PIXELS)
    (forgery.folder / "samples.npz").write_bytes(packed)

    def change(value: dict[str, Any]) -> None:
        identity = value["result"]["identity"]
        digest = samples_digest(PIXELS)
        identity.update(model="mine", generator_code="", parameters={})
        identity["origin"] = {"kind": "samples", "digest": digest, "trained_on": trained_on}
        value["result"].update(control=False, settings={})
        value["source"] = "samples"
        value["samples"] = {
            "sha256": digest,
            "count": 48,
            "location": "",
            "carried_sha256": hashlib.sha256(packed).hexdigest(),
        }

    forgery.edit(change)
    value = as_present(forgery.json["result"])
    value["run_id"] = Identity.model_validate(value["identity"]).run_id
    with np.load(forgery.folder / "scores.npz") as archive:
        scores = dict(archive)
    present = Result.model_validate({**value, "schema_version": SCHEMA_VERSION})
    decided = weigh(present, scores).decision.model_dump()

    def present_schema(held: dict[str, Any]) -> None:
        held["result"].pop("verdict", None)
        held["result"].update(schema_version=SCHEMA_VERSION, decision=decided)

    folder: Path = forgery.stamp(present_schema)
    return folder


def test_samples_alone_stand_with_the_samples_that_they_carry(forgery: Any) -> None:
    folder = _from_elsewhere(forgery)
    checked = check_submission(folder, practice=True)
    assert checked.passed, checked
    assert checked.submission is not None
    assert np.array_equal(read_samples(checked.submission, None, folder), PIXELS)
    assert checked.submission.command.startswith("bench verify leaderboard/submissions/xray/xray-mine-")
    with pytest.raises(UsageError, match="rescored is its highest level"):
        verify(folder, VerifySettings("reproduced"), practice=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v["result"]["identity"].update(model="ldm"), "is a model of memobench"),
        (lambda v: v["result"]["identity"].update(generator_code="0" * 64), "neither code nor parameters"),
        (lambda v: v["result"]["identity"]["origin"].update(digest="0" * 64), "not those that the identity names"),
        (lambda v: v["result"].update(control=True), "control is true"),
        (lambda v: v.update(source="file", source_file="x.py"), "x.py is missing"),
        (lambda v: v.update(source="package"), "has an origin, and there alone"),
        (lambda v: v["result"].update(schema_version=2), "no origin"),
        (lambda v: v["samples"].update(carried_sha256=""), "samples.npz"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[dict[str, Any]], None], reason: str, forgery: Any) -> None:
    _from_elsewhere(forgery)
    checked = check_submission(forgery.stamp(change), practice=True)
    assert not checked.passed
    assert any(reason in problem for problem in checked.problems), checked.problems


def test_carried_samples_that_were_replaced_are_seen(forgery: Any) -> None:
    folder = _from_elsewhere(forgery)
    other = packed_samples(np.ascontiguousarray(PIXELS[::-1]))
    (folder / "samples.npz").write_bytes(other)
    assert "was changed" in check_submission(folder, practice=True).problems[0]
    forgery.edit(lambda value: value["samples"].update(carried_sha256=hashlib.sha256(other).hexdigest()))
    assert "digest differs" in check_submission(folder, practice=True).problems[0]


def test_small_images_alone_are_carried_and_as_8_bit() -> None:
    finer = PIXELS * np.float32(0.9) + np.float32(0.0371)
    for pixels in (PIXELS, finer):
        with np.load(io.BytesIO(packed_samples(pixels))) as archive:
            assert archive["samples"].dtype == np.uint8
            assert np.array_equal(archive["samples"].astype(np.float32) / np.float32(255), eight_bit(pixels))
    assert not packed_samples(np.tile(PIXELS, (12, 1, 1)))


def test_finer_samples_than_8_bit_are_carried_rounded_and_known_by_both_digests(forgery: Any) -> None:
    finer = PIXELS * np.float32(0.9) + np.float32(0.0371)
    packed = packed_samples(finer)
    (forgery.folder / "samples.npz").write_bytes(packed)
    named = {"sha256": samples_digest(finer), "carried_sha256": hashlib.sha256(packed).hexdigest()}
    forgery.edit(lambda value: value["samples"].update(named))
    assert "digest differs" in check_submission(forgery.folder, practice=True).problems[0]
    forgery.edit(lambda value: value["samples"].update(rounded_sha256=samples_digest(eight_bit(finer))))
    checked = check_submission(forgery.folder, practice=True)
    assert checked.passed, checked
    assert checked.submission is not None
    assert np.array_equal(read_samples(checked.submission, None, forgery.folder), eight_bit(finer))
    assert are_of(finer, checked.submission)
    assert are_of(eight_bit(finer), checked.submission)
    assert not are_of(PIXELS, checked.submission)
    (forgery.folder / "samples.npz").unlink()
    forgery.edit(lambda value: value["samples"].update(carried_sha256=""))
    assert "does not carry" in " ".join(check_submission(forgery.folder, practice=True).problems)


@pytest.mark.slow
def test_samples_are_measured_submitted_and_measured_again_from_what_the_submission_carries(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", samples=BYTES)
    asked = MeasureSettings("xray", str(tmp_path / "made.npz"), "mine", "task", preset="smoke", out=tmp_path / "runs")
    _, run = measure_samples(asked)
    _, folder = submit(SubmitSettings(run, "A group", into=tmp_path / "submissions"), practice=True)
    assert (folder / "samples.npz").is_file()
    found = verify(folder, VerifySettings("rescored", out=tmp_path / "runs", device="cpu"), practice=True)
    assert found.passed, found
