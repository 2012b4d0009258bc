"""Every public source, from a miniature in its publisher's layout to splits."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from memobench.base.errors import DataError
from memobench.base.store import Store
from memobench.cli.main import main
from memobench.data.folder import deal
from memobench.data.manifest import read_manifest
from memobench.data.public._decathlon import subject
from memobench.data.public._source import SOURCES, Recipe, data_kind
from memobench.data.splits import load_splits
from memobench.task import TASKS, Splits

from .conftest import LISTED, PATIENTS, SLICES

ACCESS = {"open", "registration", "private"}
Build = Callable[[str], Path]


def sides(splits: Splits) -> list[set[str]]:
    every = [splits.train, splits.holdout, splits.test, splits.fresh, splits.dev]
    return [set(images.patients.tolist()) for images in every if images is not None]


@pytest.mark.parametrize("name", SOURCES.names())
def test_the_publishers_layout_becomes_splits(name: str, miniature: Build, tmp_path: Path) -> None:
    source, root = SOURCES.get(name), miniature(name)
    task = TASKS.get(source.tasks[0])
    splits, _, stored = load_splits(task, f"{name}={root}", 32, store=Store(tmp_path / "store"))
    assert not stored
    parts = sides(splits)
    assert sum(map(len, parts)) == len(set().union(*parts)) >= 12
    assert abs(splits.train.patient_count - splits.holdout.patient_count) == 0
    assert splits.train.shape == (32,) * task.dim
    assert all(np.ptp(image) > 0.2 for image in splits.train.pixels)
    assert "ids " in splits.notes[0]
    assert not any("identical" in note for note in splits.notes)
    again, _, stored = load_splits(task, f"{name}={root}", 32, store=Store(tmp_path / "store"))
    assert stored
    assert again.digest == splits.digest


@pytest.mark.parametrize("name", ["chestxray14", "chexpert", "mimic_cxr_jpg", "chestmnist", "ct_rate", "acdc", "mrnet"])
def test_the_official_test_patients_are_kept_apart(name: str, miniature: Build, tmp_path: Path) -> None:
    source, root = SOURCES.get(name), miniature(name)
    listed = {record.patient for record in source.records(root) if record.test}
    splits, *_ = load_splits(TASKS.get(source.tasks[0]), f"{name}={root}", 32, store=Store(tmp_path / "store"))
    assert len(listed) == LISTED
    assert sides(splits)[2] | sides(splits)[3] == listed


def test_the_two_halves_of_a_subject_stand_on_one_side(miniature: Build, tmp_path: Path) -> None:
    root = miniature("decathlon_hippocampus")
    splits, *_ = load_splits(TASKS.get("mr"), f"decathlon_hippocampus={root}", 32, store=Store(tmp_path / "store"))
    for images in (splits.train, splits.holdout, splits.test, splits.fresh):
        assert len(images) == 2 * images.patient_count
        assert [subject(scan) for scan in images.scans.tolist()] == images.patients.tolist()


def test_volumes_give_their_middle_slice_to_a_2d_task(miniature: Build, tmp_path: Path) -> None:
    root = miniature("mrnet")
    splits, *_ = load_splits(TASKS.get("mr2d"), f"mrnet={root}", 32, store=Store(tmp_path / "store"))
    series = np.load(root / "MRNet-v1.0" / "train" / "sagittal" / f"{splits.train.scans[0]}.npy").astype(np.float32)
    middle = series[len(series) // 2]
    expected = (middle - middle.min()) / np.ptp(middle)
    np.testing.assert_allclose(splits.train.pixels[0], expected, atol=1e-6)
    assert SOURCES.get("mrnet").recipe == Recipe(full_range=True)


def test_dicom_slices_are_sorted_by_place_and_windowed(miniature: Build) -> None:
    source, root = SOURCES.get("lidc_idri"), miniature("lidc_idri")
    record = source.records(root)[0]
    raw = source.read(root, record)
    assert raw.spacing == (20.0, 16.0, 16.0)
    assert raw.values.min() >= -1024
    assert raw.values.shape == (SLICES, 16, 16)
    planes = [pydicom.dcmread(root / file) for file in record.files]
    upward = sorted(planes, key=lambda plane: plane.ImagePositionPatient[2])
    np.testing.assert_array_equal(raw.values, np.stack([plane.pixel_array for plane in upward]) - 1024.0)


@pytest.mark.parametrize("name", SOURCES.names())
def test_missing_data_say_how_to_get_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path))
    source = SOURCES.get(name)
    assert source.name == name
    assert source.access in ACCESS
    assert all(TASKS.get(task).dim <= source.dim for task in source.tasks)
    (tmp_path / "data" / name).mkdir(parents=True)
    for data in (name, f"{name}={tmp_path / 'none'}"):
        with pytest.raises(DataError, match=r"How to get it .*--data phantom needs no data") as caught:
            load_splits(TASKS.get(source.tasks[0]), data, 32, store=Store(tmp_path / "store"))
        assert source.how_to_get in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_result_names_the_source_and_no_folder() -> None:
    assert [data_kind(data) for data in ("phantom", "mrnet", "mrnet=/some/where", "folder/of/mine")] == [
        "phantom",
        "mrnet",
        "mrnet",
        "folder",
    ]


def test_an_interrupted_preparation_goes_on(miniature: Build, tmp_path: Path) -> None:
    root = miniature("ixi")
    files = sorted((root / "IXI-T1").iterdir())
    broken = files[-1].read_bytes()
    status = files[-1].stat()
    files[-1].write_bytes(b"\0" * len(broken))
    os.utime(files[-1], ns=(status.st_atime_ns, status.st_mtime_ns))
    store = Store(tmp_path / "store")
    with pytest.raises(DataError, match=rf"ixi: IXI-T1/IXI{PATIENTS - 1:03d}.* cannot be read"):
        load_splits(TASKS.get("mr"), f"ixi={root}", 32, store=store)
    files[-1].write_bytes(broken)
    os.utime(files[-1], ns=(status.st_atime_ns, status.st_mtime_ns))
    marks = next((tmp_path / "store").rglob("done.npy"))
    kept = int(np.load(marks).sum())
    assert 0 < kept < len(files)
    for file in np.array(files)[np.load(marks) == 1]:  # what was done is not read again
        inode = file.stat()
        file.write_bytes(b"\0" * inode.st_size)
        os.utime(file, ns=(inode.st_atime_ns, inode.st_mtime_ns))
    splits, *_ = load_splits(TASKS.get("mr"), f"ixi={root}", 32, store=store)
    assert sum(map(len, sides(splits))) == len(files)


@pytest.mark.kits
@pytest.mark.parametrize("name", ["xray", "ct", "ct3d", "mr", "mr3d"])
def test_the_kits_stand_as_folders_and_no_patient_stands_on_two_sides(name: str, kits: Path) -> None:
    manifest = read_manifest(kits / name)
    dealt = deal(np.array(manifest.patients))
    assert sum(map(len, dealt.values())) == len(set(manifest.patients))


@pytest.mark.kits
def test_the_splits_of_the_hippocampus_kit_never_separate_two_halves(kits: Path, tmp_path: Path) -> None:
    """The volumes 2k-1 and 2k, by their numbers alone, from the folder as a run reads it."""
    splits, *_ = load_splits(TASKS.get("mr"), str(kits / "mr3d"), 32, store=Store(tmp_path / "store"))
    every = [splits.train, splits.holdout, splits.test, splits.fresh, splits.dev]
    side = {
        int(re.findall(r"\d+", scan)[-1]): number
        for number, images in enumerate(every)
        if images is not None
        for scan in images.scans.tolist()
    }
    assert len(side) == len(read_manifest(kits / "mr3d").files)
    pairs = [(side[k], side[k + 1]) for k in side if k % 2 and k + 1 in side]
    assert len(pairs) > 50
    assert len({left for left, _ in pairs}) == 4
    assert all(left == right for left, right in pairs)


RUNS = [(name, task) for name in SOURCES.names() for task in SOURCES.get(name).tasks if TASKS.get(task).dim == 2]


def test_every_source_has_its_run() -> None:
    assert [name for name, _ in RUNS] == SOURCES.names()


@pytest.mark.parametrize(
    ("name", "task"),
    [
        *(
            pytest.param(name, task, marks=pytest.mark.smoke if name == "chestmnist" else pytest.mark.slow)
            for name, task in RUNS
        ),
        pytest.param("mrnet", "mr", marks=pytest.mark.slow),  # one in 3D, which takes some fifteen times as long
    ],
)
def test_every_source_runs_to_a_result(
    name: str, task: str, miniature: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume gives its middle slice in 2D, and copies of train must be found to be copies."""
    root, out = miniature(name), tmp_path / "runs"
    words = f"run --model replay --task {task} --size 32 --preset smoke --samples 8 --device cpu"
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--data", f"{name}={root}", "--out", str(out)])
    assert ended.value.code == 0, capsys.readouterr().err
    result = json.loads(next(out.glob("*/result.json")).read_text())
    assert (result["identity"]["data"], result["identity"]["task"]) == (name, task)
    assert str(root) not in json.dumps(result)
    counts = result["counts"]
    assert counts["samples"] == 8
    assert counts["train_patients"] == counts["holdout_patients"] >= 5
    assert sum(count for kind, count in counts.items() if kind.endswith("_patients")) == len(
        {record.patient for record in SOURCES.get(name).records(root)}
    )
    assert not any("not measured" in note for note in result["notes"])
    assert {"fd_ssl", "kid_ssl", "precision", "authenticity", "sensitivity"} <= set(result["metrics"])
    if task != "mr":  # of twenty volumes tau lies next to the score of exact copies; the strongest matches show them
        assert result["metrics"]["copy_rate"]["value"] >= 0.75
    assert result["metrics"]["copy_evidence"]["p_value"] < 0.05
    assert result["metrics"]["train_share"]["value"] >= 0.75
