from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import common_shape, contrast_agrees, prepare
from memobench.images import Images
from PIL import Image

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def _one_picture_in_every_format(root: Path, draw: Draw, save_dicom: Save, save_nifti: Save) -> Path:
    deep = draw().astype(np.uint16) * 257
    Image.fromarray(draw()).save(root / "png8.png")
    Image.fromarray(deep).save(root / "png16.png")
    Image.fromarray(deep).save(root / "tiff16.tif")
    Image.fromarray(draw().astype(np.float32) / 255).save(root / "float.tif")
    Image.fromarray(draw()).save(root / "jpeg.jpg", quality=98)
    np.save(root / "npy.npy", draw().astype(np.float32) / 255)
    np.savez(root / "npz.npz", vol=deep)
    window = {"WindowCenter": 32767.5, "WindowWidth": 65535, "VOILUTFunction": "LINEAR_EXACT"}
    save_dicom(root / "dicom", deep, **window)
    save_dicom(root / "monochrome1", 65535 - deep, PhotometricInterpretation="MONOCHROME1", **window)
    save_dicom(root / "rescaled", draw().astype(np.int16) * 9 - 1000, RescaleSlope=0.5, RescaleIntercept=12)
    save_nifti(root / "nifti.nii.gz", deep)
    return root


def test_one_picture_in_every_format_is_one_picture(
    tmp_path: Path, draw: Draw, save_dicom: Save, save_nifti: Save
) -> None:
    found = inspect_folder(_one_picture_in_every_format(tmp_path, draw, save_dicom, save_nifti))
    images = prepare(found, (32, 24))
    assert len(images) == 11
    where = [item.file for item in found.items].index("png8.png")
    for item, pixels in zip(found.items, images.pixels, strict=True):
        assert np.abs(pixels - images.pixels[where]).max() < 0.02, item.file


def test_one_volume_in_every_format_is_one_volume(
    tmp_path: Path, draw: Draw, save_dicom: Save, save_nifti: Save, save_series: Callable[..., list[str]]
) -> None:
    volume = draw((12, 20, 16))
    save_series(tmp_path, volume.astype(np.int16) * 4 - 1000, "slice", WindowCenter=-490, WindowWidth=1021)
    save_dicom(tmp_path / "frames", volume)
    save_nifti(tmp_path / "a.nii", volume.astype(np.float32))
    np.savez_compressed(tmp_path / "a.npz", volume)
    first, *rest = map(Image.fromarray, volume)
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    found = inspect_folder(tmp_path, dim=3)
    images = prepare(found, (8, 16, 16))
    assert len(images) == 5
    assert np.abs(images.pixels - images.pixels[:1]).max() < 0.02


def test_order_ids_and_range(tmp_path: Path, draw: Draw) -> None:
    for seed, name in enumerate(["p2_b.png", "p1_a.png", "p1_c.png"]):
        Image.fromarray(draw(seed=seed)).save(tmp_path / name)
    found = inspect_folder(tmp_path, patient_regex="(p[0-9])")
    images = prepare(found, (48, 40))
    assert images.patients.tolist() == ["p1", "p1", "p2"]
    assert images.scans.tolist() == [item.scan for item in found.items]
    for pixels, seed in zip(images.pixels, (1, 2, 0), strict=True):
        assert np.array_equal(pixels, stretched(draw(seed=seed)))


def test_frames_are_prepared_one_by_one(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    film = draw((40, 12, 10))
    save_dicom(tmp_path / "film", film)
    assert np.array_equal(prepare(inspect_folder(tmp_path), (12, 10)).pixels, [stretched(frame) for frame in film])


def test_a_file_that_changed_meanwhile(tmp_path: Path, draw: Draw) -> None:
    Image.fromarray(draw()).save(tmp_path / "a.png")
    found = inspect_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"MZ")
    with pytest.raises(DataError, match=r"a\.png is a program .*start again"):
        prepare(found, (32, 32))


def test_a_shape_of_another_dimension(tmp_path: Path, draw: Draw) -> None:
    Image.fromarray(draw()).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="holds 2D images, which cannot become 3D"):
        prepare(inspect_folder(tmp_path), (16, 16, 16))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20, 20), (32, 32)),
        ((43, 43), (40, 40)),
        ((300, 300), (64, 64)),
        ((9, 9, 9), (16, 16, 16)),
        ((26, 26, 26), (24, 24, 24)),
        ((70, 70, 70), (32, 32, 32)),
    ],
)
def test_common_ground(tmp_path: Path, draw: Draw, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", draw(shape))
    assert common_shape([inspect_folder(tmp_path)]) == expected
    assert common_shape([inspect_folder(tmp_path)], 24) == (24,) * len(shape)


def test_common_ground_is_the_median_over_all_folders(tmp_path: Path, draw: Draw) -> None:
    for folder, sides in {"a": [40, 40], "b": [56, 57, 56]}.items():
        (tmp_path / folder).mkdir()
        for index, side in enumerate(sides):
            np.save(tmp_path / folder / f"{index}.npy", draw((side, side)))
    found = [inspect_folder(tmp_path / folder) for folder in "ab"]
    assert common_shape(found) == (56, 56)


def test_no_common_ground(tmp_path: Path, draw: Draw) -> None:
    for folder, shape in {"a": (40, 40), "b": (9, 9, 9)}.items():
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", draw(shape))
    found = [inspect_folder(tmp_path / folder) for folder in "ab"]
    with pytest.raises(DataError, match=r"different dimension \(a 2D, b 3D\)"):
        common_shape(found)
    with pytest.raises(DataError, match="no image"):
        common_shape([])
    with pytest.raises(UsageError, match="--size 20 is no multiple of 8"):
        common_shape(found[:1], 20)
    assert common_shape(found[:1], (24, 80)) == (24, 80)
    with pytest.raises(UsageError, match="--size 24x80 has 2 sides, and the images have 3; give 32x32x32"):
        common_shape(found[1:], (24, 80))
    with pytest.raises(UsageError, match="--size 6x96x96 has a side below 8; the nearest is 8x96x96"):
        common_shape(found[1:], (6, 96, 96))


def _of(pixels: np.ndarray) -> Images:
    names = np.array([str(index) for index in range(len(pixels))])
    return Images(pixels.astype(np.float32), names, names)


def test_inverted_contrast_is_seen_and_other_sets_are_not_accused(draw: Draw) -> None:
    rng = np.random.default_rng(0)
    anatomy = draw((32, 32)) / 255
    first, second = (_of(np.clip(anatomy + rng.normal(0, 0.2, (300, 32, 32)), 0, 1)) for _ in range(2))
    inverted = _of(1 - second.pixels)
    assert contrast_agrees(first, second)
    assert not contrast_agrees(first, inverted)
    assert contrast_agrees(first, _of(rng.random((50, 32, 32))))
    assert contrast_agrees(first, _of(np.full((2, 32, 32), 0.5)))
    with pytest.raises(DataError, match="prepare them at one shape"):
        contrast_agrees(first, _of(rng.random((2, 8, 8))))
