from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from memobench.data.files.decode import decode, header
from memobench.data.files.picture import Unreadable, stretched
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
Shipped = Callable[[str], Path]


def test_a_plain_file(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw(), PatientID="p 1", StudyInstanceUID="1.2")
    head = header(file)
    assert head is not None
    assert (head.shape, head.frames, head.dim, head.patient, head.study) == ((48, 40), 1, 2, "p 1", "1.2")
    assert np.array_equal(decode([file], None, 2).pixels, stretched(draw()))


def test_rescaling_and_window(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    stored = draw().astype(np.int16) * 10
    file = save_dicom(
        *(tmp_path / "a", stored),
        **{"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400},
    )
    units = stored * 2.0 - 1024
    seen = decode([file], None, 2)
    assert (seen.low, seen.high) == (units.min(), units.max())
    assert np.allclose(seen.pixels, np.clip((units - 39.5) / 399 + 0.5, 0, 1), atol=1e-6)


def test_monochrome1_is_inverted_with_and_without_window(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    plain = save_dicom(tmp_path / "plain", 255 - draw(), PhotometricInterpretation="MONOCHROME1")
    assert np.allclose(decode([plain], None, 2).pixels, draw() / 255, atol=1e-6)
    window = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
    shown = save_dicom(tmp_path / "shown", 255 - draw(), PhotometricInterpretation="MONOCHROME1", **window)
    assert np.allclose(decode([shown], None, 2).pixels, draw() / 255, atol=1e-6)


def test_frames_are_images_in_2d_and_slices_in_3d(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    film = draw((5, 12, 10))
    file = save_dicom(tmp_path / "a", film)
    head = header(file)
    assert head is not None
    assert (head.frames, head.dim) == (5, 2)
    for frame in (3, 1):
        assert np.array_equal(decode([file], frame, 2).pixels, stretched(film[frame]))
    assert np.array_equal(decode([file], None, 3).pixels, stretched(film))


def test_a_frame_is_not_taken_from_a_file_of_the_same_name(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    (tmp_path / "other").mkdir()
    first = save_dicom(tmp_path / "a", draw((2, 12, 10), seed=1))
    second = save_dicom(tmp_path / "other" / "a", draw((2, 12, 10), seed=2))
    assert not np.array_equal(decode([first], 1, 2).pixels, decode([second], 1, 2).pixels)


def _groups(positions: list[float], slopes: list[float] | None = None) -> list[Dataset]:
    groups = []
    for index, position in enumerate(positions):
        group, place, transform = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, position]
        group.PlanePositionSequence = [place]
        if slopes:
            transform.RescaleSlope, transform.RescaleIntercept = slopes[index], 0
            group.PixelValueTransformationSequence = [transform]
        groups.append(group)
    return groups


def _shared(centre: float | None = None) -> list[Dataset]:
    group, orientation, window = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    group.PlaneOrientationSequence = [orientation]
    if centre is not None:
        window.WindowCenter, window.WindowWidth = centre, 100
        group.FrameVOILUTSequence = [window]
    return [group]


def test_placed_frames_are_a_volume_sorted_by_place(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume, order = draw((4, 12, 10)), [2, 0, 3, 1]
    file = save_dicom(
        *(tmp_path / "a", volume[order]),
        PerFrameFunctionalGroupsSequence=_groups([5.0 * index for index in order]),
        SharedFunctionalGroupsSequence=_shared(),
    )
    head = header(file)
    assert head is not None
    assert head.dim == 3
    assert np.array_equal(decode([file], None, 3).pixels, stretched(volume))


def test_the_frames_own_slopes_and_the_shared_window(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((2, 12, 10)).astype(np.uint16)
    file = save_dicom(
        *(tmp_path / "a", volume),
        PerFrameFunctionalGroupsSequence=_groups([0, 1], slopes=[1, 2]),
        SharedFunctionalGroupsSequence=_shared(centre=100),
    )
    units = volume * np.array([1, 2])[:, None, None]
    expected = np.clip((units - 99.5) / 99 + 0.5, 0, 1)
    assert np.allclose(decode([file], None, 3).pixels, expected, atol=1e-6)
    assert np.allclose(decode([file], 1, 2).pixels, expected[1], atol=1e-6)


def test_a_series_of_files_with_one_window(tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]]) -> None:
    volume = draw((6, 12, 10)).astype(np.int16)
    names = save_series(tmp_path / "s", volume, WindowCenter=100, WindowWidth=101)
    seen = decode([tmp_path / "s" / name for name in names], None, 3)
    assert np.allclose(seen.pixels, np.clip((volume - 99.5) / 100 + 0.5, 0, 1), atol=1e-6)
    assert "window" in seen.scaling


def test_slices_with_different_windows_are_scaled_together(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((3, 12, 10)).astype(np.int16)
    files = [
        save_dicom(tmp_path / f"{index}", plane, WindowCenter=50 + index, WindowWidth=100)
        for index, plane in enumerate(volume)
    ]
    seen = decode(files, None, 3)
    assert "percentile" in seen.scaling
    assert np.allclose(seen.pixels, volume / 255, atol=0.02)


def test_a_sagittal_series_lies_as_an_axial_one(
    tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]]
) -> None:
    axial = draw((9, 8, 7))  # superior, posterior, left
    sagittal = axial[::-1].transpose(2, 0, 1)  # slices run left, rows down, columns to the back
    names = save_series(tmp_path / "s", sagittal, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    # The normal of these planes points to the right, so the slices are sorted from left to right.
    files = [tmp_path / "s" / name for name in reversed(names)]
    assert np.array_equal(decode(files, None, 3).pixels, stretched(axial))


def test_colour(tmp_path: Path, save_dicom: Save) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    file = save_dicom(
        *(tmp_path / "a", colours),
        **{"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
        **{"Rows": 9, "Columns": 8, "NumberOfFrames": 1},
    )
    seen = decode([file], None, 2)
    assert seen.colour
    assert np.allclose(seen.pixels, stretched(colours @ [0.299, 0.587, 0.114]), atol=2e-6)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
        "MR_small_RLE.dcm",
    ],
)
def test_encodings_of_one_image_in_its_window(shipped: Shipped, name: str) -> None:
    plain = pydicom.dcmread(shipped("MR_small.dcm"))
    expected = np.clip((plain.pixel_array - (600 - 0.5)) / (1600 - 1) + 0.5, 0, 1)
    seen = decode([shipped(name)], None, 2)
    assert (plain.WindowCenter, plain.WindowWidth) == (600, 1600)
    assert np.allclose(seen.pixels, stretched(expected), atol=2e-6)
    assert seen.scaling.startswith("shown in its DICOM window")


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_files_where_a_handler_is_installed(shipped: Shipped, name: str) -> None:
    pytest.importorskip("libjpeg")
    pytest.importorskip("openjpeg")
    plain = decode([shipped("MR_small.dcm")], None, 2)
    assert np.array_equal(decode([shipped(name)], None, 2).pixels, plain.pixels)


def test_a_missing_handler_is_named(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(Unreadable, match=r"is compressed \(JPEG-LS.*python-gdcm \(BSD\), or .*libjpeg \(GPL-3.0\)"):
        decode([shipped("MR_small_jpeg_ls_lossless.dcm")], None, 2)
    monkeypatch.setattr(get_decoder(JPEG2000Lossless), "_available", {})
    with pytest.raises(Unreadable, match=r"is compressed \(JPEG 2000.*pip install pylibjpeg pylibjpeg-openjpeg"):
        decode([shipped("MR_small_jp2klossless.dcm")], None, 2)


def test_monochrome1_that_pydicom_ships(shipped: Shipped) -> None:
    file = shipped("dicomdirtests/77654033/CR1/6154")
    dataset = pydicom.dcmread(file)
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    stored = dataset.pixel_array.astype(np.float64).ravel()
    seen = decode([file], None, 2)
    assert np.corrcoef(seen.pixels.ravel(), stored)[0, 1] < -0.9


def test_big_endian_colour_and_frames_that_pydicom_ships(shipped: Shipped) -> None:
    assert decode([shipped("ExplVR_BigEnd.dcm")], None, 2).colour
    little, big = (decode([shipped(f"SC_rgb_small_odd{end}.dcm")], None, 2) for end in ("", "_big_endian"))
    assert np.array_equal(little.pixels, big.pixels)
    head = header(shipped("SC_rgb_rle_2frame.dcm"))
    assert head is not None
    assert (head.frames, head.dim) == (2, 2)
    first, second = (decode([shipped("SC_rgb_rle_2frame.dcm")], frame, 2) for frame in (0, 1))
    assert np.array_equal(first.pixels, decode([shipped("SC_rgb_rle.dcm")], None, 2).pixels)
    assert not np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("reportsi.dcm", "is no picture of a patient .Basic Text SR Storage"),
        ("rtplan.dcm", "is no picture of a patient .RT Plan Storage"),
        ("rtdose.dcm", "is no picture of a patient .RT Dose Storage"),
        ("liver_1frame.dcm", "is no picture of a patient .Segmentation Storage"),
        ("UN_sequence.dcm", "is no whole DICOM file"),
    ],
)
def test_files_without_picture(shipped: Shipped, name: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        header(shipped(name))


def test_a_truncated_file(shipped: Shipped) -> None:
    with pytest.raises(Unreadable, match=r"is cut short: it declares 1 frame.s. of \d+x\d+, which take \d+ bytes"):
        decode([shipped("MR_truncated.dcm")], None, 2)


def test_an_index_under_any_name_is_passed_over(shipped: Shipped) -> None:
    assert header(shipped("dicomdirtests/DICOMDIR-reordered")) is None


def test_nothing_left_in_the_window(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw(), WindowCenter=5000, WindowWidth=10)
    with pytest.raises(Unreadable, match="is constant once it is shown in its DICOM window"):
        decode([file], None, 2)


def _as_pydicom_shows(file: Path) -> np.ndarray:
    """Rescaled, windowed and inverted by pydicom alone."""
    dataset = pydicom.dcmread(file)
    units = apply_modality_lut(dataset.pixel_array, dataset)
    shown = apply_voi_lut(units, dataset, index=0).astype(np.float64)
    return -shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("693_J2KI.dcm", "openjpeg"),  # JPEG 2000, 14 bit, window 40 to 100
        ("J2K_pixelrep_mismatch.dcm", "openjpeg"),  # signed values stored as unsigned, three windows
        ("JPEG2000.dcm", "openjpeg"),
        ("JPGExtended.dcm", "libjpeg"),
        ("JPEGLSNearLossless_08.dcm", "libjpeg"),
        ("JPEGLSNearLossless_16.dcm", "libjpeg"),
        ("MR_small.dcm", ""),
        ("CT_small.dcm", ""),
        ("examples_overlay.dcm", ""),  # 12 bit, two windows
        ("image_dfl.dcm", ""),  # deflated
        ("dicomdirtests/77654033/CR1/6154", ""),  # MONOCHROME1
        ("dicomdirtests/77654033/CT2/17106", ""),
    ],
)
def test_what_pydicom_ships_is_shown_as_pydicom_shows_it(shipped: Shipped, name: str, needs: str) -> None:
    if needs:
        pytest.importorskip(needs)
    file = shipped(name)
    assert np.allclose(decode([file], None, 2).pixels, stretched(_as_pydicom_shows(file)), atol=2e-3)


@pytest.mark.parametrize(
    ("name", "same", "error"),
    [
        ("SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", 1e-5),
        ("SC_rgb_rle.dcm", "SC_rgb_rle_32bit.dcm", 1e-5),
        ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm", 0.02),
        ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm", 0.02),
        ("SC_rgb_rle.dcm", "SC_rgb_jpeg_dcmtk.dcm", 0.02),
        ("SC_rgb_rle.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", 0.02),
        ("SC_rgb_rle.dcm", "SC_rgb_jls_lossy_sample.dcm", 0.02),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", 0.02),
    ],
)
def test_encodings_of_one_picture_are_one_picture(shipped: Shipped, name: str, same: str, error: float) -> None:
    pytest.importorskip("libjpeg")
    pytest.importorskip("openjpeg")
    first, second = (decode([shipped(file)], None, 2) for file in (name, same))
    assert np.abs(first.pixels - second.pixels).mean() <= error
    assert np.corrcoef(first.pixels.ravel(), second.pixels.ravel())[0, 1] > 0.999


def test_a_film_of_compressed_colour(shipped: Shipped) -> None:
    pytest.importorskip("libjpeg")
    file = shipped("examples_ybr_color.dcm")
    head = header(file)
    assert head is not None
    assert (head.frames, head.dim) == (30, 2)
    first, last = (decode([file], frame, 2) for frame in (0, 29))
    assert first.colour
    assert first.pixels.shape == last.pixels.shape == (240, 320)
    assert not np.array_equal(first.pixels, last.pixels)


def test_a_broken_stream_is_named(shipped: Shipped) -> None:
    pytest.importorskip("openjpeg")
    with pytest.raises(Unreadable, match="is at odds with its header"):
        decode([shipped("JPEG2000-embedded-sequence-delimiter.dcm")], None, 2)
