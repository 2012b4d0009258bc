from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from memobench.data.files.decode import decode, header
from memobench.data.files.inspect import survey
from memobench.data.files.nifti import oriented
from memobench.data.files.picture import Picture, Unreadable, stretched

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]


def _picture(file: Path) -> Picture:
    head = header(file)
    assert head
    return decode([file], None, len(head.shape))


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_volume_comes_out_superior_posterior_left(tmp_path: Path, draw: Draw, save_nifti: Save, ending: str) -> None:
    file = save_nifti(tmp_path / f"a.{ending}", draw((7, 9, 8)))
    assert header(file).dim == 3
    assert np.array_equal(_picture(file).pixels, stretched(draw((7, 9, 8))))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASL", "SRA", "PIR"])
def test_every_orientation_of_storage_gives_the_same_volume(tmp_path: Path, draw: Draw, codes: str) -> None:
    image = nibabel.Nifti1Image(draw((7, 9, 8)).T, np.diag([-2.0, -2.0, 5.0, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    stored = image.as_reoriented(turn)
    assert "".join(nibabel.aff2axcodes(stored.affine)) == codes
    nibabel.save(stored, tmp_path / "a.nii")
    assert np.array_equal(_picture(tmp_path / "a.nii").pixels, stretched(draw((7, 9, 8))))


def test_a_tilted_volume_is_turned_to_the_nearest_axes(draw: Draw) -> None:
    angle = np.deg2rad(15)
    tilt = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag([-1, -1, 3])
    assert np.array_equal(oriented(draw((7, 9, 8)).T, affine), draw((7, 9, 8)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_is_an_image_shown_head_up(tmp_path: Path, draw: Draw, save_nifti: Save, axis: int) -> None:
    plane = draw((9, 8))
    stored = plane if axis == 0 else plane[::-1]  # superior is up, so its index falls with the row
    file = save_nifti(tmp_path / "a.nii", np.expand_dims(stored, axis))
    assert header(file).shape == (9, 8)
    assert np.array_equal(_picture(file).pixels, stretched(plane))


def test_stored_numbers_are_rescaled(tmp_path: Path, draw: Draw) -> None:
    image = nibabel.Nifti1Image(draw((7, 9, 8)).T.astype(np.float64) * 0.37 - 55, np.diag([-1.0, -1, 1, 1]))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii")
    seen = _picture(tmp_path / "a.nii")
    assert seen.low == pytest.approx(-55, abs=0.01)
    assert np.allclose(seen.pixels, draw((7, 9, 8)) / 255, atol=2e-3)


def test_colour(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 7, 3), dtype=np.uint8)
    packed = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nibabel.save(nibabel.Nifti1Image(packed, np.diag([-1.0, -1, 1, 1])), tmp_path / "a.nii")
    seen = _picture(tmp_path / "a.nii")
    assert seen.colour
    assert np.allclose(seen.pixels.T, stretched(colours @ [0.299, 0.587, 0.114]), atol=2e-6)


def test_four_dimensions_are_refused_unless_the_last_is_one(tmp_path: Path, draw: Draw) -> None:
    nibabel.save(nibabel.Nifti1Image(draw((6, 5, 4, 3)), np.eye(4)), tmp_path / "several.nii")
    with pytest.raises(Unreadable, match=r"is 4D \(6x5x4x3: several volumes in one file\); save each"):
        header(tmp_path / "several.nii")
    nibabel.save(nibabel.Nifti1Image(draw((6, 5, 4, 1)), np.eye(4)), tmp_path / "one.nii")
    assert header(tmp_path / "one.nii").dim == 3
    assert _picture(tmp_path / "one.nii").pixels.shape == (4, 5, 6)


def test_an_affine_without_orientation(draw: Draw) -> None:
    with pytest.raises(Unreadable, match="singular"):
        oriented(draw((4, 5, 6)), np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("sform", "qform", "note"),
    [
        ((1, 1), (-1, 1), "name different orientations, and the sform was taken"),
        ((1, 0), (1, 0), "say no orientation"),
        ((1, 2), (1, 1), ""),
        ((1, 1), (1, 0), ""),
    ],
    ids=["disagree", "unsaid", "agree", "one"],
)
def test_an_orientation_in_doubt_is_noted(
    tmp_path: Path, draw: Draw, sform: tuple[int, int], qform: tuple[int, int], note: str
) -> None:
    image = nibabel.Nifti1Image(draw((7, 9, 8)), np.eye(4))
    for name, (sign, code) in (("sform", sform), ("qform", qform)):
        getattr(image, f"set_{name}")(np.diag([2.0 * sign, 2.0 * sign, 2.0, 1.0]), code)
    nibabel.save(image, tmp_path / "a.nii.gz")
    notes = [one for one in survey(tmp_path).notes if "orientation" in one]
    assert [note in one for one in notes] == ([True] if note else [])


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_odd_steps_are_read_without_a_line_that_names_no_file(
    tmp_path: Path, draw: Draw, ending: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = nibabel.Nifti1Image(draw((7, 9, 8)), np.eye(4))
    image.header["pixdim"][1:4] = (-1, 0, 2)
    image.header["vox_offset"] = 352
    file = tmp_path / f"a.{ending}"
    opened = gzip.open if ending.endswith("gz") else open
    with opened(file, "wb") as handle:
        handle.write(image.header.binaryblock + b"\0" * 4 + np.asarray(image.dataobj).tobytes(order="F"))
    assert len(survey(tmp_path).items) == 1
    assert "pixdim" not in capfd.readouterr().err + caplog.text
