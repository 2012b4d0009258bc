from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.base.progress import silent
from memobench.data.files.inspect import inspect_folder, survey, threaded
from PIL import Image

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def _images(root: Path, draw: Draw, names: Iterable[str] = ("a.png", "b.png", "c.png"), start: int = 0) -> Path:
    for seed, name in enumerate(names, start=start):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(seed=seed)).save(root / name, format="PNG")
    return root


def test_items_stand_in_the_order_of_their_names(tmp_path: Path, draw: Draw) -> None:
    found = inspect_folder(_images(tmp_path, draw, ["c.png", "a.png", "b/x.png"]))
    assert [item.file for item in found.items] == ["a.png", "b/x.png", "c.png"]
    assert found.dim == 2
    assert not found.patients_known
    assert {item.shape for item in found.items} == {(48, 40)}
    assert found.items[1].patient == found.items[1].scan == "b/x.png"
    (kind,) = found.found
    assert (kind.kind, kind.count, kind.low, kind.high) == ("PNG", 3, 0, 255)
    assert not found.unreadable
    assert not found.notes


def test_names_that_would_be_trouble(tmp_path: Path, draw: Draw) -> None:
    names = [
        "胸部 一.png",
        "two  words.png",
        'it\'s "quoted".png',
        "<b onclick=x>&amp;.png",
        "a\n\x1b[2J.png",
        "-x.png",
    ]
    found = inspect_folder(_images(tmp_path, draw, names))
    assert {item.file for item in found.items} == set(names)


def test_unreadable_files_are_named_with_reason_and_fix(tmp_path: Path, draw: Draw) -> None:
    _images(tmp_path, draw)
    (tmp_path / "1.png").write_bytes(b"MZ\x90" + b"\0" * 500)
    (tmp_path / "2.png").write_bytes((tmp_path / "a.png").read_bytes()[:90])
    (tmp_path / "3.png").write_bytes(b"")
    Image.fromarray(np.full((9, 9), 5, np.uint8)).save(tmp_path / "4.png")
    with pytest.raises(DataError) as error:
        inspect_folder(tmp_path)
    message = str(error.value)
    assert message.startswith("4 files of")
    assert "1.png is a program for Windows" in message
    assert "2.png is damaged" in message
    assert "3.png is empty" in message
    assert "and 1 more" in message
    assert message.endswith("--skip-unreadable")
    assert "\n" not in message
    skipped = inspect_folder(tmp_path, skip_unreadable=True)
    assert [item.file for item in skipped.items] == ["a.png", "b.png", "c.png"]
    assert dict(skipped.unreadable)["4.png"] == "is constant (every value is 5)"
    assert [file for file, _ in skipped.unreadable] == ["1.png", "2.png", "3.png", "4.png"]


@pytest.mark.parametrize("share", [0.05])
def test_a_folder_of_which_some_is_broken(tmp_path: Path, draw: Draw, share: float) -> None:
    names = [f"{index:03d}.png" for index in range(40)]
    _images(tmp_path, draw, names)
    broken = names[:: int(1 / share)]
    for name in broken:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-30])
    found = inspect_folder(tmp_path, skip_unreadable=True)
    assert [file for file, _ in found.unreadable] == broken
    assert len(found.items) == len(names) - len(broken)


def test_nothing_but_broken_files(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"MZ")
    with pytest.raises(DataError, match=r"no image that can be used: x\.png is a program"):
        inspect_folder(tmp_path, skip_unreadable=True)
    assert survey(tmp_path).unreadable


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        inspect_folder(tmp_path / "none")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no file that could be an image"):
        inspect_folder(tmp_path)


def test_links_alone_are_said_to_be_there(tmp_path: Path, draw: Draw) -> None:
    _images(tmp_path / "elsewhere", draw)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    with pytest.raises(DataError, match="1 symbolic link was not followed"):
        inspect_folder(tmp_path / "root")


def test_another_dimension_is_no_dimension(tmp_path: Path, draw: Draw) -> None:
    with pytest.raises(UsageError, match="--dim 4"):
        inspect_folder(_images(tmp_path, draw), dim=4)


def test_mixed_dimensions(tmp_path: Path, draw: Draw, save_nifti: Save) -> None:
    save_nifti(_images(tmp_path, draw) / "v.nii.gz", draw((8, 9, 10)))
    with pytest.raises(DataError, match=r"v\.nii\.gz is a 3D volume \(8x9x10\) among 2D images"):
        inspect_folder(tmp_path)
    images = inspect_folder(tmp_path, skip_unreadable=True)
    assert images.dim == 2
    assert any("3 files look like 2D images and 1 like a part of 3D volumes; 2D was taken" in n for n in images.notes)
    volumes = inspect_folder(tmp_path, dim=3, skip_unreadable=True)
    assert [item.shape for item in volumes.items] == [(8, 9, 10)]
    assert "is a 2D image (48x40) among 3D volumes" in dict(volumes.unreadable)["a.png"]


def test_a_folder_of_the_other_dimension_alone(tmp_path: Path, draw: Draw, save_nifti: Save) -> None:
    _images(tmp_path / "images", draw)
    with pytest.raises(DataError, match=r"holds only 2D images \(3 files, such as a\.png\), and 3D volumes are asked"):
        inspect_folder(tmp_path / "images", dim=3)
    (tmp_path / "volumes").mkdir()
    save_nifti(tmp_path / "volumes" / "v.nii", draw((8, 9, 10)))
    with pytest.raises(DataError, match=r"holds only 3D volumes \(1 file, such as v\.nii\), and 2D images are asked"):
        inspect_folder(tmp_path / "volumes", dim=2, skip_unreadable=True)


def test_duplicates_and_colour_are_counted(tmp_path: Path, draw: Draw) -> None:
    _images(tmp_path, draw)
    Image.fromarray(draw(seed=0)).save(tmp_path / "again.tif")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(tmp_path / "colour.png")
    found = inspect_folder(tmp_path)
    assert "1 image is identical to an earlier one (again.tif to a.png, ...)" in found.notes
    assert any(note.startswith("1 colour image was") for note in found.notes)


def test_the_files_of_a_manifest(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    _images(tmp_path, draw)
    save_dicom(tmp_path / "d", draw(seed=9), PatientID="other")
    with (tmp_path / "manifest.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["file", "patient_id", "scan_id"], ["d", "p2", "s"], ["a.png", "p1", ""]])
    found = inspect_folder(tmp_path)
    assert [(item.file, item.patient, item.scan) for item in found.items] == [
        ("a.png", "p1", "a.png"),
        ("d", "p2", "s"),
    ]
    assert found.how == "manifest.csv"
    assert any("2 files that manifest.csv does not list" in note for note in found.notes)


def test_patients_from_file_names(tmp_path: Path, draw: Draw) -> None:
    found = inspect_folder(_images(tmp_path, draw, ["p1_a.png", "p1_b.png", "p2_a.png"]), patient_regex="(p[0-9])_")
    assert [item.patient for item in found.items] == ["p1", "p1", "p2"]
    assert found.patients_known


def test_series_of_dicom_become_volumes(
    tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]], save_dicom: Save
) -> None:
    volumes = [draw((9, 12, 10), seed=seed).astype(np.int16) for seed in range(2)]
    names = [
        save_series(tmp_path / "s", volume, f"{patient}-", PatientID=patient)
        for patient, volume in zip(["p1", "p2"], volumes, strict=True)
    ]
    save_dicom(tmp_path / "s" / "z", draw((9, 12, 10), seed=3), PatientID="p1")
    found = inspect_folder(tmp_path / "s", dim=3)
    assert [item.files for item in found.items] == [tuple(names[0]), tuple(names[1]), ("z",)]
    assert [item.file for item in found.items] == [names[0][0], names[1][0], "z"]
    assert [item.patient for item in found.items] == ["p1", "p2", "p1"]
    assert {item.shape for item in found.items} == {(9, 12, 10)}
    assert found.how == "DICOM PatientID"
    slices = inspect_folder(tmp_path / "s", dim=2)
    assert len(slices.items) == 9 + 9 + 9
    assert [item.frame for item in slices.items][-9:] == list(range(9))
    assert len({item.scan for item in slices.items}) == 3
    assert inspect_folder(tmp_path / "s").dim == 3


def test_a_constant_frame_is_named(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    film = draw((3, 12, 10))
    film[1] = 9
    found = inspect_folder(save_dicom(tmp_path / "f.dcm", film).parent, skip_unreadable=True)
    assert [item.frame for item in found.items] == [0, 2]
    assert found.unreadable == (("f.dcm", "(frame 2) is constant (every value is 9)"),)


def test_progress_is_shown(tmp_path: Path, draw: Draw) -> None:
    seen: list[tuple[str, int]] = []

    def track(things: Iterable[Any], description: str, total: int) -> Iterator[Any]:
        seen.append((description, total))
        return iter(things)

    inspect_folder(_images(tmp_path, draw), track=track)
    assert seen == [("looking at files", 3)]  # which reads what can be nothing but one image
    seen.clear()
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    for seed in range(3):
        np.save(volumes / f"{seed}.npy", draw((8, 9, 10), seed=seed))
    inspect_folder(volumes, track=track)
    assert seen == [("looking at files", 3), ("reading images", 3)]


def test_a_failure_does_not_wait_for_what_is_queued() -> None:
    done: list[int] = []
    failed = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            failed.set()
            raise DataError("broken")
        failed.wait()
        sleep(0.002)
        done.append(number)

    with pytest.raises(DataError, match="broken"):
        threaded(work, range(2000), "working", 2, silent)
    assert len(done) < 1900


@pytest.mark.kits
@pytest.mark.parametrize(("kit", "dim"), [("mr", 2), ("mr3d", 3)])
def test_real_images(kits: Path, kit: str, dim: int) -> None:
    found = inspect_folder(kits / kit)
    assert found.dim == dim
    assert found.how == "manifest.csv"
    assert len({item.patient for item in found.items}) > 10
