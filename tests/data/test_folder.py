from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import prepare
from memobench.data.folder import deal, key, read_sides
from memobench.data.manifest import read_manifest
from memobench.data.resample import resize
from PIL import Image

Write = Callable[..., Path]


def _read(root: Path, shape: tuple[int, ...] = (32, 32)):  # type: ignore[no-untyped-def]
    return read_sides(read_manifest(root), shape)


def test_no_patient_stands_on_two_sides_and_train_equals_holdout(write_folder: Write) -> None:
    sides, notes = _read(write_folder(patients=20))
    seen = [set(images.patients) for images in sides.values() if images is not None]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 20
    assert sides["train"].patient_count == sides["holdout"].patient_count
    assert any("resampled" in note for note in notes)
    assert sides["train"].pixels.dtype == np.float32


def test_the_split_is_the_same_again(write_folder: Write) -> None:
    root = write_folder()
    first, second = _read(root)[0], _read(root)[0]
    assert first["train"].digest == second["train"].digest


def test_many_patients_get_a_dev_side() -> None:
    names = np.array([f"p{i}" for i in range(300)])
    sides = deal(names)
    assert len(sides["dev"]) == len(sides["train"]) == len(sides["holdout"]) == 75
    assert "dev" not in deal(names[:100])


def test_volumes(write_folder: Write) -> None:
    sides, _ = _read(write_folder(shape=(10, 24, 24)), (16, 16, 16))
    assert sides["train"].shape == (16, 16, 16)


def test_sixteen_bit_png_is_scaled(write_folder: Write) -> None:
    root = write_folder(scans=1)
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(values).save(root / "p0_0.png")
    sides, _ = _read(root)
    both = np.concatenate([images.pixels[images.patients == "p0"] for images in sides.values() if images is not None])
    assert np.allclose(both[0], stretched(values), atol=1e-6)


def test_twelve_bits_in_sixteen_fill_the_range_as_sixteen_do(write_folder: Write) -> None:
    pixels = []
    root = write_folder(scans=1)
    for factor in (1, 16):
        for patient in range(len(read_manifest(root).files)):
            values = np.random.default_rng(patient).integers(0, 4096, (32, 32)).astype(np.uint16)
            Image.fromarray(values * np.uint16(factor)).save(root / f"p{patient}_0.png")
        pixels.append(_read(root)[0]["train"].pixels)
    assert np.array_equal(*pixels)


def test_a_folder_is_read_as_an_audit_reads_it(write_folder: Write) -> None:
    root = write_folder(scans=1)
    sides, notes = _read(root)
    audited = prepare(inspect_folder(root), (32, 32))
    for images in sides.values():
        assert images is not None
        for pixels, scan in zip(images.pixels, images.scans.tolist(), strict=True):
            assert np.array_equal(pixels, audited.pixels[audited.scans.tolist().index(scan)])
    assert any("percentile range" in note for note in notes)


def test_what_cannot_be_read_is_left_out_where_that_is_asked(write_folder: Write) -> None:
    root = write_folder(scans=1)
    _truncate(root / "p5_0.png")
    manifest = read_manifest(root)
    sides, notes = read_sides(manifest, (32, 32), skip_unreadable=True)
    assert not any("p5" in images.patients for images in sides.values() if images is not None)
    assert "1 files that cannot be used were left out (--skip-unreadable)" in notes
    assert key(manifest, (32, 32)) != key(manifest, (32, 32), skip_unreadable=True)


def test_patients_who_share_an_image_are_one(write_folder: Write) -> None:
    root = write_folder(patients=20, scans=1)
    for other in ("p3", "p7"):
        (root / f"{other}_0.png").write_bytes((root / "p1_0.png").read_bytes())
    sides, notes = _read(root)
    where = {name for name, images in sides.items() for p in ("p1", "p3", "p7") if p in images.patients}
    assert len(where) == 1
    assert any("2 images are identical" in note and "3 patients" in note for note in notes)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        read_manifest(tmp_path / "none")


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no manifest\.csv; write one"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\nx.png\n", "lacks the column patient_id"),
        ("file,patient_id\n", "lists no image"),
        ("file,patient_id,Patient_ID\na.png,1,2\n", "has the column patient_id twice"),
        ("a.png,1\n", "lacks the column file; .* name the columns in its first line"),
        ("file,patient_id\nnone.png,a\n", "there is no file none.png"),
        ("file,patient_id\n,a\n", "file or patient_id is empty"),
        ("file,patient_id\n../up.png,a\n", "leaves the folder"),
        ("file,patient_id\n/etc/passwd,a\n", "leaves the folder"),
        ("file,patient_id\na.png,a\na.png,b\n", "lists a.png twice"),
    ],
)
def test_a_bad_manifest_is_named(tmp_path: Path, text: str, message: str) -> None:
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)


def test_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(DataError, match="UTF-8"):
        read_manifest(tmp_path)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def _not_png(file: Path) -> None:
    file.write_bytes(b"MZ this is a program")


def _constant(file: Path) -> None:
    Image.fromarray(np.full((40, 36), 7, np.uint8)).save(file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_truncate, "is damaged"), (_not_png, "is a program"), (_constant, "is constant")],
)
def test_a_bad_image_is_named(write_folder: Write, spoil: Callable[[Path], None], message: str) -> None:
    root = write_folder()
    spoil(root / "p5_1.png")
    with pytest.raises(DataError, match=rf"p5_1\.png {message}"):
        _read(root)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.full((8, 8, 8), np.nan, np.float32), "NaN"),
        (np.full((8, 8, 8), 1j), "type complex128"),
        (np.zeros((8, 8), np.uint8), "is a 2D image"),
        (np.zeros((8, 8, 8), np.int64), "is constant"),
    ],
)
def test_a_bad_volume_is_named(write_folder: Write, volume: np.ndarray, message: str) -> None:
    root = write_folder(shape=(8, 8, 8))
    np.savez(root / "p2_0.npz", vol=volume)
    with pytest.raises(DataError, match=rf"p2_0\.npz.*{message}"):
        _read(root, (16, 16, 16))


def test_a_pickle_is_refused(write_folder: Write) -> None:
    root = write_folder(shape=(8, 8, 8))
    np.savez(root / "p2_0.npz", vol=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"p2_0\.npz holds Python objects"):
        _read(root, (16, 16, 16))


def test_pictures_for_a_task_of_volumes(write_folder: Write) -> None:
    with pytest.raises(DataError, match="choose a 2D task"):
        _read(write_folder(), (16, 16, 16))


def test_too_few_patients(write_folder: Write) -> None:
    with pytest.raises(DataError, match="11 patients are too few"):
        _read(write_folder(patients=11))


def test_resize_keeps_the_mean() -> None:
    image = np.random.default_rng(0).random((40, 60, 50), dtype=np.float32)
    small = resize(image, (16, 16, 16))
    assert small.shape == (16, 16, 16)
    assert small.mean() == pytest.approx(image.mean(), abs=0.01)


def test_one_person_under_two_ids_stands_on_one_side_as_one(write_folder: Write) -> None:
    root = write_folder(patients=30, scans=1)
    lines = (root / "manifest.csv").read_text().splitlines()
    for k in range(6):
        values = np.asarray(Image.open(root / f"p{k}_0.png")).astype(float)
        again = np.clip(values * 0.9 + 5, 0, 255).astype(np.uint8)
        Image.fromarray(again).save(root / f"again{k}.png")
        lines.append(f"again{k}.png,other{k},again{k}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    sides, notes = _read(root)
    assert any("12 patients have an image that is nearly the same as another's" in note for note in notes)
    patients = [images.patients.tolist() for images in sides.values() if images is not None]
    assert len(set().union(*patients)) == 30
    assert sum(one.count(f"other{k}") for one in patients for k in range(6)) == 12
