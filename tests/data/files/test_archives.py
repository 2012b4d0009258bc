from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.data.files.archives import folder_of
from memobench.data.files.inspect import survey
from memobench.data.files.prepare import prepare
from PIL import Image

Draw = Callable[..., np.ndarray]


@pytest.fixture
def images(tmp_path: Path, draw: Draw) -> Path:
    folder = tmp_path / "set"
    for patient in range(3):
        (folder / f"p{patient:02d}").mkdir(parents=True)
        for view in range(2):
            Image.fromarray(draw(seed=2 * patient + view)).save(folder / f"p{patient:02d}" / f"{view}.png")
    (folder / "manifest.csv").write_text(
        "file,patient_id\n" + "".join(f"p{k // 2:02d}/{k % 2}.png,q{k // 2}\n" for k in range(6))
    )
    return folder


def _packed(folder: Path, form: str, *, within: str = "") -> Path:
    target = folder.parent / f"set.{form}"
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if form == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, within + file.relative_to(folder).as_posix())
    else:
        with tarfile.open(target, "w:gz" if form.endswith("gz") else "w") as opened:
            for file in files:
                opened.add(file, within + file.relative_to(folder).as_posix())
    return target


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("within", ["", "a/b/"])
def test_an_archive_is_read_as_its_folder(images: Path, form: str, within: str) -> None:
    plain, packed = survey(images), survey(_packed(images, form, within=within))
    assert packed.items == plain.items
    assert packed.notes == plain.notes
    assert np.array_equal(prepare(packed, (32, 32)).pixels, prepare(plain, (32, 32)).pixels)


def test_it_is_unpacked_once_and_again_when_it_changed(images: Path) -> None:
    file = _packed(images, "zip")
    first = folder_of(file)
    assert folder_of(file) == first
    (images / "p00" / "0.png").write_bytes((images / "p01" / "0.png").read_bytes())
    assert folder_of(_packed(images, "zip")) != first
    assert folder_of(images) == images


@pytest.mark.parametrize("name", ["../up.png", "/etc/up.png", "a/../../up.png", "..\\up.png", "C:\\up.png"])
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_member_that_leaves_the_folder(tmp_path: Path, name: str, form: str) -> None:
    file = tmp_path / f"x.{form}"
    if form == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, b"x")
    else:
        with tarfile.open(file, "w") as opened:
            member = tarfile.TarInfo(name)
            member.size = 1
            opened.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="would leave its folder"):
        folder_of(file)


def test_links_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as opened:
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            opened.addfile(member)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    for name in ("x.tar", "x.zip"):
        assert not list(folder_of(tmp_path / name).iterdir())


def test_bombs_are_refused_while_they_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.data.files.archives._FREE", 2**20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**25))
    with pytest.raises(DataError, match="far more than images do"):
        folder_of(tmp_path / "x.zip")
    with pytest.raises(DataError, match=r"a\.png unpacks to more than 1\.0 MiB; raise --max-image-gib"):
        folder_of(tmp_path / "x.zip", 2**-10)


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_damaged_archive(images: Path, form: str) -> None:
    file = _packed(images, form)
    content = bytearray(file.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 40] = bytes(40)
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut short"):
        folder_of(file)


def test_a_single_file_stands_for_a_folder(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", np.random.default_rng(0).integers(0, 255, (5, 1, 16, 16), dtype=np.uint8))
    assert len(survey(tmp_path / "samples.npz").items) == 5
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(DataError, match="give a folder, an archive"):
        survey(tmp_path / "a.txt")


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_an_archive_that_is_cut_short_is_refused(images: Path, form: str, share: float) -> None:
    file = _packed(images, form)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged or cut short"):
        folder_of(file)


def test_a_tar_that_ends_behind_a_member_is_refused(images: Path) -> None:
    file = _packed(images, "tar")
    content = file.read_bytes()
    with tarfile.open(file) as archive:
        ends = [member.offset for member in archive][2:]
    for end in ends:
        file.write_bytes(content[:end])
        with pytest.raises(DataError, match="its end is missing"):
            folder_of(file)


def test_an_archive_stands_under_its_own_name(images: Path) -> None:
    file = _packed(images, "zip")
    assert survey(file).given == str(file)


def test_a_tar_with_a_member_wiped_out_is_refused(images: Path) -> None:
    file = _packed(images, "tar")
    content = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        start = [member.offset for member in archive][3]
    content[start : start + tarfile.BLOCKSIZE] = bytes(tarfile.BLOCKSIZE)
    file.write_bytes(content)
    with pytest.raises(DataError, match="there is more behind"):
        folder_of(file)


@pytest.mark.parametrize(("place", "value"), [(28, bytes(2)), (38, b"\xff" * 4), (46, b"\1\2"), (38, b"\0\0\0\xa0")])
def test_a_damaged_list_of_members_is_refused(images: Path, place: int, value: bytes) -> None:
    file = _packed(images, "zip")
    content = bytearray(file.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + place : entry + place + len(value)] = value
    if place == 38 and value[-1] == 0xA0:  # a link by its mode alone: passed over, as links are
        file.write_bytes(content)
        assert len(list(folder_of(file).rglob("*.*"))) == 6
        return
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut short"):
        folder_of(file)
