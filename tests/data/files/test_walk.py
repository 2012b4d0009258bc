from __future__ import annotations

import os
from pathlib import Path

import pytest
from memobench.base.errors import DataError
from memobench.data.files.walk import Listing, files_in, shown


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
