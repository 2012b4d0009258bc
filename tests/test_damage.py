"""A flipped byte in what a run has stored, and a result that was edited by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.audit.run import audit_folders
from memobench.audit.settings import AuditSettings
from memobench.base.errors import MemobenchError
from memobench.base.store import KEY, Store, state_of
from memobench.board.local import local_results
from memobench.results import Result
from memobench.run import run
from memobench.settings import RunSettings
from memobench.submissions.settings import SubmitSettings
from memobench.submissions.submit import submit

KINDS = {
    "data": {"splits.json", "train/pixels.npy", "train/ids.json", "holdout/pixels.npy", "test/pixels.npy"},
    "detector": {"detector.safetensors"},
    "fit": {"state.safetensors", "training.json", "losses.csv"},
    "sample": {"samples.npz"},
    "match": {"matches.npz"},
    "regions-real": {"arrays.npz"},
    "measure": {"metrics.json", "scores.npz", "calls.csv"},
}


@pytest.fixture(autouse=True)
def shared_by_no_other_test(matched_once: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made again is made here, of whatever it is made of."""
    monkeypatch.setattr(Store, "_build", matched_once)


def _flip(file: Path, at: int) -> bytes:
    """Flip a bit; what the file held before."""
    before = file.read_bytes()
    data = bytearray(before)
    data[at] ^= 1 << (at % 8)
    file.write_bytes(data)
    return before


def _every_file_is_watched(stage: Path, random: np.random.Generator) -> set[str]:
    """Damage each file of a stored stage, which is noticed wherever it is hit, and mend it; the files' names."""
    key = json.loads((stage / KEY).read_text())["key"]
    stored = {path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file()}
    for name in sorted(stored):
        file = stage / name
        if not file.stat().st_size:
            continue
        before = _flip(file, int(random.integers(file.stat().st_size)))
        state = state_of(stage, key)
        # in the key itself a byte may be white space, which says nothing
        assert state == "damaged" or (name == KEY and json.loads(file.read_text())["key"] == key), (stage, name)
        file.write_bytes(before)
    assert state_of(stage, key) == "intact"
    return stored


def _without_time(result: Result) -> dict[str, object]:
    return result.model_dump(exclude={"seconds", "training", "checksum"})


@pytest.mark.smoke
def test_a_flipped_byte_never_changes_a_result(write_folder: Callable[..., Path], tmp_path: Path) -> None:
    said: list[str] = []
    asked = RunSettings("noise", "xray", str(write_folder()), 32, "smoke", samples=8, out=tmp_path / "runs")
    result, folder = run(asked, say=said.append)
    assert not [line for line in said if "damaged" in line]
    random = np.random.default_rng(0)
    stages = sorted(path.parent for path in (asked.out / ".stages").glob(f"*/*/{KEY}"))
    assert {stage.parent.name for stage in stages} == set(KINDS)

    for stage in stages:
        assert KINDS[stage.parent.name] <= _every_file_is_watched(stage, random)

    for stage in stages:  # one in each: all are made again, and the result is the same
        file = stage / min(KINDS[stage.parent.name])
        _flip(file, int(random.integers(file.stat().st_size)))
    (folder / "result.json").unlink()
    said.clear()
    again, _ = run(asked, say=said.append)
    assert _without_time(again) == _without_time(result)
    lines = [line for line in said if "is damaged" in line]
    assert sorted(line.split()[1] for line in lines) == sorted(stage.parent.name for stage in stages)
    assert all("\n" not in line and "made again" in line for line in lines)

    _check_an_edit_is_noticed(asked, folder, again)


def _check_an_edit_is_noticed(asked: RunSettings, folder: Path, result: Result) -> None:
    file = folder / "result.json"
    written = file.read_text()
    value = json.loads(written)
    value["metrics"]["copy_rate"]["value"] = 0.125
    file.write_text(json.dumps(value))
    with pytest.raises(MemobenchError, match="was changed after"):
        local_results(asked.out)
    with pytest.raises(MemobenchError, match="was changed after"):
        submit(SubmitSettings(run=folder, name="somebody", into=asked.out / "submissions"))
    said: list[str] = []
    again, _ = run(asked, say=said.append)
    assert sum("was changed after" in line for line in said) == 1
    assert _without_time(again) == _without_time(result)
    assert json.loads(file.read_text())["metrics"]["copy_rate"] == json.loads(written)["metrics"]["copy_rate"]
    assert local_results(asked.out)[0].run_id == result.run_id


def test_a_flipped_byte_never_changes_an_audit(
    write_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = sorted(write_folder(patients=36, shape=(32, 32)).glob("*_0.png"))
    for side in range(3):
        (tmp_path / str(side)).mkdir()
        for file in images[side::3]:
            shutil.copy(file, tmp_path / str(side) / file.name)
    folders = [tmp_path / str(side) for side in range(3)]
    asked = AuditSettings(*folders, size=32, preset="smoke", out=tmp_path / "out")
    result = audit_folders(asked).result
    random = np.random.default_rng(1)
    stages = sorted(path.parent for path in (asked.out / ".stages").glob(f"*/*/{KEY}"))
    assert {stage.parent.name for stage in stages} == {"detector", "images", "match", "regions", "regions-real"}
    for stage in stages:
        _every_file_is_watched(stage, random)
        files = sorted(path for path in stage.rglob("*") if path.is_file() and path.name != KEY)
        _flip(files[0], int(random.integers(files[0].stat().st_size)))
    capsys.readouterr()
    again = audit_folders(asked).result
    assert again.model_dump(exclude={"seconds"}) == result.model_dump(exclude={"seconds"})
    lines = [line for line in capsys.readouterr().err.splitlines() if "is damaged" in line]
    assert len(lines) == len(stages)
    assert all("made again" in line for line in lines)
    assert all(state_of(stage, json.loads((stage / KEY).read_text())["key"]) == "intact" for stage in stages)
