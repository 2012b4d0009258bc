"""Every public source, from a miniature in its publisher's layout to splits."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from memobench.base.errors import DataError
from memobench.base.store import Store
from memobench.cli.main import main
from memobench.data.files import archives
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import prepare
from memobench.data.folder import deal
from memobench.data.manifest import read_manifest
from memobench.data.public._decathlon import subject
from memobench.data.public._source import SOURCES, data_kind
from memobench.data.splits import load_splits
from memobench.images import Images
from memobench.task import TASKS, Splits

from .conftest import LISTED, PATIENTS, SLICES

ACCESS = {"open", "registration", "private"}
Build = Callable[[str], Path]


def sides(splits: Splits) -> list[set[str]]:
    return [set(images.patients.tolist()) for images in _images(splits)]


def _images(splits: Splits) -> list[Images]:
    every = [splits.train, splits.holdout, splits.test, splits.fresh, splits.dev]
    return [images for images in every if images is not None]


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
    np.testing.assert_array_equal(splits.train.pixels[0], stretched(middle))


def test_dicom_slices_are_sorted_by_place_and_windowed(miniature: Build) -> None:
    source, root = SOURCES.get("lidc_idri"), miniature("lidc_idri")
    record = source.records(root)[0]
    raw = source.read(root, record)
    assert raw.spacing == pytest.approx((20.0, 16.0, 16.0))
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


def _load(source: str, root: Path, tmp_path: Path, *, skip: bool = False) -> tuple[Splits, str]:
    task = TASKS.get(SOURCES.get(source).tasks[-1])
    splits, *_ = load_splits(task, f"{source}={root}", 32, store=Store(tmp_path / "store"), skip_unreadable=skip)
    return splits, " ".join(splits.notes)


@pytest.mark.parametrize("name", ["chexpert", "chestxray14", "mimic_cxr_jpg", "decathlon_spleen"])
def test_what_is_listed_and_absent_is_counted_and_too_much_is_an_error(
    name: str, miniature: Build, tmp_path: Path
) -> None:
    root, source = miniature(name), SOURCES.get(name)
    records = source.records(root)
    (root / records[3].files[0]).unlink()
    _, notes = _load(name, root, tmp_path)
    assert f"1 of {len(records)} images that the publisher lists are not there (such as " in notes
    assert Path(records[3].files[0]).name in notes
    for record in records[: len(records) * 6 // 10]:
        (root / record.files[0]).unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"images that the publisher lists are not there .* --skip-unreadable"):
        _load(name, root, tmp_path)
    splits, notes = _load(name, root, tmp_path, skip=True)
    assert "are not there" in notes
    assert 0 < sum(len(images) for images in _images(splits)) < len(records) // 2


def test_chexpert_is_found_in_its_parts(miniature: Build, tmp_path: Path) -> None:
    root = miniature("chexpert")
    whole, _ = _load("chexpert", root, tmp_path)
    small, parts = root / "CheXpert-v1.0-small", root / "parts"
    first = parts / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir(parents=True)
    for name in ("train.csv", "valid.csv", "valid"):
        (small / name).rename(first / name)
    for number, patient in enumerate(sorted((small / "train").iterdir())):
        part = parts / f"CheXpert-v1.0 batch {2 + number % 2} (train {1 + number % 2})"
        part.mkdir(exist_ok=True)
        patient.rename(part / patient.name)
    again, notes = _load("chexpert", parts, tmp_path)
    assert again.digest == whole.digest
    assert "are not there" not in notes


@pytest.mark.parametrize("name", ["ixi", "acdc", "oasis", "fastmri", "mrnet", "lidc_idri", "chestxray14", "ct_rate"])
def test_what_a_mac_leaves_beside_files_is_passed_over(name: str, miniature: Build, tmp_path: Path) -> None:
    root = miniature(name)
    before = SOURCES.get(name).records(root)
    for record in before:
        for file in record.files:
            (root / file).with_name(f"._{Path(file).name}").write_bytes(b"\0\5\x16\7" + bytes(60))
    assert SOURCES.get(name).records(root) == before


@pytest.mark.parametrize("name", ["fastmri", "ixi", "chestxray14", "mrnet", "lidc_idri"])
def test_an_unfinished_download_is_named_or_left_out(name: str, miniature: Build, tmp_path: Path) -> None:
    root = miniature(name)
    records = [record for record in SOURCES.get(name).records(root) if not record.passed]
    file = root / records[2].files[0]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"{name}: {re.escape(records[2].files[0])} .*--skip-unreadable") as caught:
        _load(name, root, tmp_path)
    assert "\n" not in str(caught.value)
    splits, notes = _load(name, root, tmp_path, skip=True)
    assert not any(records[2].scan in images.scans for images in _images(splits))
    assert sum(len(images) for images in _images(splits)) >= len(records) - 2
    assert "1 image that cannot be read was left out" in notes


@pytest.mark.parametrize("name", ["chexpert", "lidc_idri", "decathlon_spleen"])
def test_an_archive_stands_for_the_publishers_folder(name: str, miniature: Build, tmp_path: Path) -> None:
    root = miniature(name)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    plain, _ = _load(name, root, tmp_path)
    store, task = Store(tmp_path / "zipped"), SOURCES.get(name).tasks[-1]
    for stored in (False, True):
        splits, _, was_stored = load_splits(TASKS.get(task), f"{name}={packed}", 32, store=store)
        assert was_stored == stored
        archives._unpacked.clear()  # as a new process would find it
    assert splits.digest == plain.digest


@pytest.mark.parametrize("doubled", [False, True])
def test_a_doubled_or_missing_slice_is_named(doubled: bool, miniature: Build, tmp_path: Path) -> None:
    root = miniature("lidc_idri")
    record = SOURCES.get("lidc_idri").records(root)[2]
    files = [root / name for name in record.files]
    heights = [pydicom.dcmread(file).ImagePositionPatient[2] for file in files]
    if doubled:
        shutil.copy(files[0], files[0].with_name("copy.dcm"))
    else:  # with fewer slices it would be a scout, so those above the gap stand higher
        for file, height in zip(files, heights, strict=True):
            dataset = pydicom.dcmread(file)
            dataset.ImagePositionPatient[2] = float(height + (60 if height > np.median(heights) else 0))
            dataset.save_as(file)
    with pytest.raises(DataError, match="is there twice" if doubled else "lacks slices") as caught:
        _load("lidc_idri", root, tmp_path)
    assert "--skip-unreadable" in str(caught.value)
    _, notes = _load("lidc_idri", root, tmp_path, skip=True)
    assert "1 image that cannot be read was left out" in notes


def test_nan_and_nothing_within_the_window_are_named(miniature: Build, tmp_path: Path) -> None:
    root = miniature("decathlon_spleen")
    records = SOURCES.get("decathlon_spleen").records(root)
    for record, values, reason in (
        (records[0], np.where(np.arange(20)[:, None, None] < 3, np.nan, 1.0), r"holds \d+ NaN or infinite values"),
        (records[0], np.linspace(-2000, -1500, 20)[:, None, None], "is constant once it is within the window"),
    ):
        full = np.broadcast_to(values, (20, 24, 16)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(full, np.eye(4)), root / record.files[0])
        with pytest.raises(DataError, match=f"{re.escape(record.files[0])} {reason}"):
            _load("decathlon_spleen", root, tmp_path)


def test_a_folder_that_cannot_be_opened_stops_the_job(
    miniature: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = miniature("chestxray14"), os.scandir

    def guarded(path: object) -> object:
        if str(path).endswith("images_002"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"images_002 cannot be opened"):
        _load("chestxray14", root, tmp_path)


def test_a_source_is_read_as_an_audit_reads_it(miniature: Build, tmp_path: Path) -> None:
    root = miniature("chestxray14")
    splits, _ = _load("chestxray14", root, tmp_path)
    name = str(splits.train.scans[0])
    (file,) = root.rglob(name)
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / name).write_bytes(file.read_bytes())
    np.testing.assert_array_equal(splits.train.pixels[0], prepare(inspect_folder(folder), (32, 32)).pixels[0])


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


RUNS = {  # one for each kind of file and of table; what differs between the others ends with the images
    "chestmnist": "xray",  # NPZ of many images
    "chestxray14": "xray",  # PNG and a CSV table
    "lidc_idri": "ct2d",  # DICOM series
    "fastmri": "mr2d",  # HDF5
    "decathlon_prostate": "mr2d",  # NIfTI of several channels
    "mrnet": "mr",  # NPY, and the one in 3D, which takes some ten times as long
}


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name in SOURCES.names() for task in SOURCES.get(name).tasks]
)
def test_every_source_gives_the_images_of_its_tasks(name: str, task: str, miniature: Build, tmp_path: Path) -> None:
    root, dim = miniature(name), TASKS.get(task).dim
    splits, *_ = load_splits(TASKS.get(task), f"{name}={root}", 32, store=Store(tmp_path / "store"))
    sides = [side for side in (splits.train, splits.holdout, splits.test, splits.fresh, splits.dev) if side is not None]
    patients = [patient for side in sides for patient in np.unique(side.patients).tolist()]
    assert len(patients) == len({record.patient for record in SOURCES.get(name).records(root) if not record.passed})
    assert splits.train.patient_count == splits.holdout.patient_count >= 5
    for side in sides:
        assert side.pixels.shape[1:] == (32,) * dim
        assert all(0 <= image.min() < image.max() <= 1 for image in side.pixels)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        pytest.param(name, task, marks=pytest.mark.smoke if name == "chestmnist" else pytest.mark.slow)
        for name, task in RUNS.items()
    ],
)
def test_every_kind_of_source_runs_to_a_result(
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
        {record.patient for record in SOURCES.get(name).records(root) if not record.passed}
    )
    assert not any("not measured" in note for note in result["notes"])
    assert {"fd_ssl", "kid_ssl", "precision", "authenticity", "sensitivity"} <= set(result["metrics"])
    if task != "mr":  # of twenty volumes tau lies next to the score of exact copies; the strongest matches show them
        assert result["metrics"]["copy_rate"]["value"] >= 0.75
    assert result["metrics"]["copy_evidence"]["p_value"] < 0.05
    assert result["metrics"]["train_share"]["value"] >= 0.75


def test_what_is_there_and_not_used_is_counted(miniature: Build, tmp_path: Path) -> None:
    root = miniature("lidc_idri")
    whole, notes = _load("lidc_idri", root, tmp_path)
    assert "not used" not in notes
    study = next((root / "LIDC-IDRI").glob("*/*"))
    files = sorted(next(study.iterdir()).glob("*.dcm"))
    for name, count, modality in (("scout", 2, "CT"), ("cut", SLICES - 1, "CT"), ("seg", 1, "SEG")):
        (study / name).mkdir()
        for file in files[:count]:
            dataset = pydicom.dcmread(file)
            dataset.Modality = modality
            dataset.save_as(study / name / file.name)
    again, notes = _load("lidc_idri", root, tmp_path)
    assert again.digest == whole.digest
    assert (
        f"2 CT series of fewer than {SLICES} slices (scouts, or unfinished downloads) were not used (such as" in notes
    )
    assert "1 series of other modalities than CT were not used" in notes


def test_a_folder_of_nothing_but_scouts_says_so(miniature: Build, tmp_path: Path) -> None:
    root = miniature("nlst")
    for file in sorted(root.glob("NLST/*/*/*/*.dcm")):
        if not file.name.startswith("1-0"):
            continue
        if int(file.stem.rpartition("-")[2]) > 3:
            file.unlink()
    with pytest.raises(DataError, match=r"no image was found .* CT series of fewer than 8 slices"):
        _load("nlst", root, tmp_path)
