"""Tracks on real data, without any image: what may stand, what is refused, and in which words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.data.public._published import published
from memobench.results import Identity, RegionCall, RegionsFound, Result, SideFound
from memobench.submissions.older import as_present
from memobench.submissions.real import real_problems, withheld, without_names
from memobench.submissions.records import Submission
from memobench.submissions.reference import tail_of
from memobench.submissions.rules import command_of, result_problems
from memobench.submissions.submit import next_steps
from memobench.submissions.track import given_data, track_of
from memobench.task import TASKS, Splits

NOBODY = SideFound(called=0, certain=0, patients=0, groups=0, expected=0.0, p_count=1.0, p_single=1.0)


def as_of(value: dict[str, Any], data: str = "chestxray14:mini", **identity: Any) -> Result:
    """The result of the fixture as if it had run on a real split."""
    result = as_present(value["result"])
    split = published(*data.split(":"))
    fields = {"data": data, "split_ids": split.ids, "split_digest": "1" * 64, **identity}
    result["identity"] = {**result["identity"], **fields}
    result["run_id"] = Identity.model_validate(result["identity"]).run_id
    counts = {"samples": 48}
    for side, (patients, images) in split.counts.items():
        counts |= {f"{side}_patients": patients, f"{side}_images": images}
    result["counts"] = counts
    return Result.model_validate(result)


def problems(forgery: Any, **identity: Any) -> str:
    return " ".join(result_problems(as_of(forgery.json, **identity), practice=True))


@pytest.mark.smoke
def test_a_run_on_the_published_split_may_stand_and_others_are_refused_in_a_line(forgery: Any) -> None:
    result = as_of(forgery.json)
    assert result_problems(result, practice=True) == []
    assert "--data chestxray14:mini" in command_of(result)
    assert "split_ids" in problems(forgery, split_ids="2" * 64)
    assert "split_ids" in problems(forgery, split_ids="")
    other = as_of(forgery.json, data="mrnet:mini", task="mr2d").model_copy(update={"counts": result.counts})
    assert "counts: train_images is 90" in " ".join(result_problems(other, practice=True))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("folder", "it ran on a folder, which nobody else can measure"),
        ("chestxray14", "run it with --data chestxray14:mini"),
        ("ixi", "no source for task xray"),
        ("chestxray14:tiny", 'chestxray14 has no split "tiny": it has mini'),
        ("mrnet:mini", "mrnet is no source for task xray"),
        ("chestxray14:mini=/somewhere", "it ran on a folder"),
    ],
)
def test_data_that_are_no_track(data: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        track_of(TASKS.get("xray"), data)


def test_what_a_real_track_fixes() -> None:
    track, split = track_of(TASKS.get("mr"), "mrnet:mini"), published("mrnet", "mini")
    assert (track.real, track.shares, track.with_dev, track.split_ids) == (True, False, False, split.ids)
    assert [track.counts[f"{side}_patients"] for side in ("train", "holdout", "test", "dev", "fresh")] == [
        70,
        70,
        35,
        None,
        35,
    ]
    numbers = sorted({*track.pools["train_patient"], *track.pools["holdout_patient"]})
    assert numbers == list(range(140))
    embedded = track_of(TASKS.get("mr"), "phantom")
    assert tail_of(track) == tail_of(embedded) / 2  # cross-fitted: half of the pool each
    assert (embedded.real, embedded.shares, embedded.title) == (False, True, "")
    assert track.title == "MRNet, mini split"


def test_where_the_images_lie_is_said_by_a_folder_or_as_in_a_run(forgery: Any) -> None:
    identity = as_of(forgery.json).identity
    assert given_data(identity, "") == "chestxray14:mini"
    for words in ("/data/nih", "chestxray14=/data/nih", "chestxray14:mini=/data/nih"):
        assert given_data(identity, words) == "chestxray14:mini=/data/nih"
    with pytest.raises(UsageError, match="it ran on chestxray14:mini, not on mrnet"):
        given_data(identity, "mrnet=/data/mrnet")
    with pytest.raises(UsageError, match="leave --data out"):
        given_data(Result.model_validate(as_present(forgery.json["result"])).identity, "/data/nih")


def _submission(forgery: Any, result: Result, **samples: Any) -> Submission:
    value = {**forgery.json, "result": json.loads(result.model_dump_json())}
    value["samples"] = {**value["samples"], "carried_sha256": "", "location": "", **samples}
    value["gallery_sha256"] = ""
    return Submission.model_validate(value)


@pytest.mark.smoke
def test_no_image_of_a_patient_and_no_name_enters_a_submission(forgery: Any, tmp_path: Path) -> None:
    xray = track_of(TASKS.get("xray"), "chestxray14:mini")
    mr2d = track_of(TASKS.get("mr2d"), "mrnet:mini")
    result = as_of(forgery.json).model_copy(update={"regions": None})
    calm = result.model_copy(update={"decision": result.decision.model_copy(update={"word": "review"})})
    carried = {"carried_sha256": "3" * 64}
    assert real_problems(_submission(forgery, calm), mr2d) == []
    assert real_problems(_submission(forgery, calm, **carried), xray) == []
    assert "licence" in real_problems(_submission(forgery, calm, **carried), mr2d)[0]
    assert "licence" in real_problems(_submission(forgery, calm, location="https://x.example/s.npz"), mr2d)[0]
    bad = result.model_copy(update={"decision": result.decision.model_copy(update={"word": "do not release"})})
    assert "must not be released" in real_problems(_submission(forgery, bad, **carried), xray)[0]
    pictured = _submission(forgery, calm).model_copy(update={"gallery_sha256": "4" * 64})
    assert "a gallery shows patients" in real_problems(pictured, xray)[0]
    embedded = track_of(TASKS.get("xray"), "phantom")
    assert real_problems(pictured, embedded) == []
    told = next_steps(tmp_path, _submission(forgery, bad))
    assert "It carries no samples: the decision on them is: do not release" in told
    assert "may show patients" in told
    other = as_of(forgery.json, data="mrnet:mini", task="mr2d")
    assert "licence" in next_steps(tmp_path, _submission(forgery, other))
    assert "may show patients" not in next_steps(tmp_path, Submission.model_validate(forgery.json))


def test_copied_regions_name_patients_by_number(forgery: Any, make_images: Any) -> None:
    images = [make_images(patients=4, seed=seed) for seed in range(4)]
    splits = Splits(images[0], images[1], images[2], None, images[3], "")
    call = RegionCall(
        sample=0, patient="0-p002", image=2, score=1.0, p_value=0.1, certain=False, box=[], source=[], share=0.1
    )
    found = RegionsFound(version="1", searched=1, tau=1.0, train=NOBODY, holdout=NOBODY, parts=[], calls=[call])
    result = as_of(forgery.json).model_copy(update={"regions": found})
    named = real_problems(_submission(forgery, result), track_of(TASKS.get("xray"), "chestxray14:mini"))
    assert "names patients" in " ".join(named)
    cleaned = without_names(result, splits)
    assert cleaned.regions is not None
    assert [one.patient for one in cleaned.regions.calls] == ["2"]
    assert cleaned.checksum != result.checksum
    assert without_names(cleaned.model_copy(update={"regions": None}), splits).regions is None


def test_samples_that_are_patients_are_held_back(forgery: Any, make_images: Any) -> None:
    images = [make_images(patients=4, seed=seed) for seed in range(4)]
    splits = Splits(images[0], images[1], images[2], None, images[3], "")
    result = as_of(forgery.json)
    calm = result.model_copy(update={"decision": result.decision.model_copy(update={"word": "review"})})
    track = track_of(TASKS.get("xray"), "chestxray14:mini")
    new = make_images(patients=3, seed=9).pixels
    assert withheld(calm, new, splits, track) == ""
    assert "1 of them are images of the source" in withheld(
        calm, np.concatenate([new, images[3].pixels[:1]]), splits, track
    )
    assert track.source is not None
    closed = dataclasses.replace(track, source=dataclasses.replace(track.source, shares=False))
    assert "licence" in withheld(calm, new, splits, closed)
    bad = result.model_copy(update={"decision": result.decision.model_copy(update={"word": "do not release"})})
    assert "do not release" in withheld(bad, new, splits, track)
