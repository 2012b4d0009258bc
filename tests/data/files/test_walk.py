from __future__ import annotations

import os
from pathlib import Path

import pytest
from memobench.base.errors import DataError
from memobench.data.files.walk import Listing, files_in, like_labels, shown


def test_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.dcm", "a/IM1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in (
        ".hidden",
        ".git/x.png",
        "__MACOSX/b.png",
        "manifest.csv",
        "n.JSON",
        "r.txt",
        "a/DICOMDIR",
        "Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_in(tmp_path) == Listing(["a/IM1", "a/c.dcm", "b.png"], 0, 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret.png").touch()
    (root / "a.png").touch()
    (root / "file.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    assert files_in(root) == Listing(["a.png"], 3, 0)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert files_in(tmp_path) == Listing([], 0, 0)


def test_a_name_that_is_no_text_can_be_printed() -> None:
    assert shown(os.fsdecode(b"a\xff.png")) == "a\\udcff.png"


def test_a_folder_that_cannot_be_opened_stops_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    real = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"closed cannot be opened \(Permission denied\), so files would be left out"):
        files_in(tmp_path)


def test_masks_and_derivatives_of_bids_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    for name in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_mask.nii.gz",
        "derivatives/fs/sub-01/brain.nii.gz",
        "participants.tsv",
        "README",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert files_in(tmp_path) == Listing(["sub-01/anat/sub-01_T1w.nii.gz"], 0, 2)


@pytest.mark.parametrize("name", ["._a.png", "Thumbs.db", ".DS_Store", "desktop.ini", "__MACOSX/a.png"])
def test_what_systems_leave_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    assert files_in(tmp_path) == Listing([], 0, 0)


@pytest.mark.parametrize("sign", ["participants.tsv", "dataset_description.json", "folders"])
@pytest.mark.parametrize("inside", ["", "raw/study/"])
def test_bids_is_known_by_any_of_its_signs_at_any_depth(tmp_path: Path, sign: str, inside: str) -> None:
    scan = "sub-01/anat/sub-01_T1w.nii.gz"
    for name in (scan, "sub-01/anat/sub-01_mask.nii.gz", "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz"):
        file = tmp_path / inside / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    if sign != "folders":
        (tmp_path / inside / sign).write_text("{}")
    found = files_in(tmp_path)
    assert found.files == [inside + scan]
    assert found.derived == 2


@pytest.mark.parametrize(
    "name", ["@eaDir/a.png", "$RECYCLE.BIN/a.png", "lost+found/a.png", "ehthumbs.db", "~$a.png", "Icon\r"]
)
def test_folders_and_files_of_systems_are_passed_over(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x")
    assert not files_in(tmp_path).files


def test_names_of_labels() -> None:
    assert like_labels(["a_seg.nii", "a_t1.nii", "labelsTr/b.nii", "masks/c.png"]) == [
        *("a_seg.nii", "labelsTr/b.nii", "masks/c.png"),
    ]
    assert not like_labels(["masks/a.png", "masks/b.png"])  # there is nothing else
    assert not like_labels(["segal_01.png", "labelled.png", "b.png"])
