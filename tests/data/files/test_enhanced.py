"""Enhanced multi-frame DICOM: one list of places and one set of checks for frames and for files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from memobench.data.files.decode import decode, header, read
from memobench.data.files.inspect import survey
from memobench.data.files.picture import Unreadable
from pydicom.dataset import Dataset
from pydicom.uid import UID

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.4.1")
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _groups(heights: Sequence[float], orientations: Sequence[list[float]] | None = None) -> list[Dataset]:
    groups = []
    for index, height in enumerate(heights):
        group = _item(PlanePositionSequence=[_item(ImagePositionPatient=[-5.0, -6.0, height])])
        if orientations:
            group.PlaneOrientationSequence = [_item(ImageOrientationPatient=orientations[index])]
        groups.append(group)
    return groups


def _enhanced(save: Save, file: Path, volume: np.ndarray, groups: list[Dataset], **more: Any) -> Path:
    shared = [_item(PlaneOrientationSequence=[_item(ImageOrientationPatient=AXIAL)])]
    attributes = {
        "SOPClassUID": ENHANCED_MR,
        "PerFrameFunctionalGroupsSequence": groups,
        "SharedFunctionalGroupsSequence": shared,
    } | more
    return save(file, volume, **attributes)


def test_frames_are_sorted_by_their_places(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((9, 12, 10)).astype(np.uint16)
    order = np.random.default_rng(0).permutation(9)
    file = _enhanced(save_dicom, tmp_path / "a", volume[order], _groups([2.5 * int(place) for place in order]))
    head = header(file)
    assert head
    assert (head.dim, head.frames) == (3, 9)
    raw = read([file], None, 3)
    assert np.array_equal(raw.values, volume)
    assert raw.spacing == pytest.approx((2.5, 1, 1))


@pytest.mark.parametrize(
    ("heights", "orientations", "reason"),
    [
        ([0, 1, 2, 0, 1, 2], None, "with several slices at one place"),
        ([0, 1, 2, 3, 4, 5], [AXIAL] * 5 + [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0]], "of slices in several orientations"),
    ],
)
def test_frames_that_are_no_volume(
    tmp_path: Path, draw: Draw, save_dicom: Save, heights: list[float], orientations: Any, reason: str
) -> None:
    file = _enhanced(
        save_dicom, tmp_path / "a.dcm", draw((6, 12, 10)).astype(np.uint16), _groups(heights, orientations)
    )
    found = survey(tmp_path, dim=3)
    assert not found.items
    assert reason in found.unreadable[0][1]
    with pytest.raises(Unreadable, match=reason):
        decode([file], None, 3)
    assert len(survey(tmp_path, dim=2).items) == 6


def test_a_gap_between_frames_is_noted(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    _enhanced(save_dicom, tmp_path / "a.dcm", draw((6, 12, 10)).astype(np.uint16), _groups([0, 1, 2, 3, 5, 6]))
    assert any("lack slices" in note for note in survey(tmp_path).notes)


def test_files_of_one_frame_are_slices_of_a_volume(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((9, 12, 10)).astype(np.uint16)
    for index, plane in enumerate(volume):
        groups = _groups([3.0 * index])
        series = {"SeriesInstanceUID": "1.2", "StudyInstanceUID": "1.1", "NumberOfFrames": 1}
        _enhanced(save_dicom, tmp_path / f"{(index * 5) % 9}.dcm", plane, groups, **series)
    found = survey(tmp_path)
    assert (found.dim, len(found.items), found.items[0].shape) == (3, 1, (9, 12, 10))
    files = [tmp_path / file for file in found.items[0].files]
    assert np.array_equal(read(files, None, 3).values, volume)


def test_each_frame_has_its_own_rescale(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    volume = draw((4, 12, 10)).astype(np.uint16)
    groups = _groups([0, 1, 2, 3])
    for index, group in enumerate(groups):
        group.PixelValueTransformationSequence = [_item(RescaleSlope=index + 1, RescaleIntercept=-index)]
    file = _enhanced(save_dicom, tmp_path / "a", volume, groups)
    expected = volume * np.arange(1.0, 5)[:, None, None] - np.arange(4.0)[:, None, None]
    assert np.array_equal(read([file], None, 3).values, expected)


def test_frames_and_their_descriptions_must_be_as_many(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = _enhanced(save_dicom, tmp_path / "a", draw((5, 12, 10)).astype(np.uint16), _groups([0, 1, 2, 3]))
    with pytest.raises(Unreadable, match="declares 5 frames and describes 4"):
        header(file)


def test_frames_without_places_are_a_film(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    file = save_dicom(tmp_path / "a", draw((5, 12, 10)), ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL)
    head = header(file)
    assert head
    assert head.dim == 2


SHOWS = {
    "echoes": lambda k: _item(MREchoSequence=[_item(EffectiveEchoTime=[10.0, 90.0][k])]),
    "times": lambda k: _item(FrameContentSequence=[_item(TemporalPositionIndex=k + 1)]),
    "b-values": lambda k: _item(MRDiffusionSequence=[_item(DiffusionBValue=[0.0, 1000.0][k])]),
    "stacks": lambda k: _item(FrameContentSequence=[_item(StackID=str(k), InStackPositionNumber=1)]),
    "kinds of image": lambda k: _item(
        MRImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "MP"[k], "NONE"])]
    ),
    "heart phases": lambda k: _item(
        CardiacSynchronizationSequence=[_item(NominalPercentageOfCardiacPhase=[40.0, 75.0][k])]
    ),
}


@pytest.mark.parametrize("word", SHOWS)
@pytest.mark.parametrize("apart", [0.0, 0.02, 1.0, 40.0])  # mm between the volumes
def test_several_volumes_in_one_file_are_never_one(
    tmp_path: Path, draw: Draw, save_dicom: Save, word: str, apart: float
) -> None:
    groups = _groups([2.0 * plane + apart * volume for volume in range(2) for plane in range(6)])
    for index, group in enumerate(groups):
        group.update(SHOWS[word](index // 6))
    _enhanced(save_dicom, tmp_path / "a.dcm", draw((12, 12, 10)).astype(np.uint16), groups)
    found = survey(tmp_path)
    assert not found.items
    ((_, reason),) = found.unreadable
    assert ("several slices at one place" if apart < 1 else f"of several {word}") in reason
    assert len(survey(tmp_path, dim=2).items) == 12


@pytest.mark.parametrize("placed", [True, False])
def test_echoes_in_single_files_are_never_one_volume(
    tmp_path: Path, draw: Draw, save_dicom: Save, placed: bool
) -> None:
    for index, plane in enumerate(draw((12, 12, 10)).astype(np.uint16)):
        where = {
            "ImagePositionPatient": [0, 0, 2.0 * (index % 6) + index // 6],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        }
        more = {"SeriesInstanceUID": "1.2.3", "InstanceNumber": index + 1, "EchoTime": [10, 90][index // 6]}
        save_dicom(tmp_path / f"{index}.dcm", plane, **more, **(where if placed else {}))
    found = survey(tmp_path, dim=3)
    assert not found.items
    assert all("of several echoes" in reason for _, reason in found.unreadable)


def test_what_differs_by_rounding_alone_is_one_volume(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    groups = _groups([2.0 * plane for plane in range(6)])
    for index, group in enumerate(groups):
        group.MREchoSequence = [_item(EffectiveEchoTime=4.6 + 0.01 * (index % 2))]
    volume = draw((6, 12, 10)).astype(np.uint16)
    file = _enhanced(save_dicom, tmp_path / "a.dcm", volume, groups)
    assert np.array_equal(read([file], None, 3).values, volume)


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_slices_of_nuclear_medicine_are_a_volume_and_phases_are_not(
    tmp_path: Path, draw: Draw, save_dicom: Save, step: float
) -> None:
    volume = draw((6, 12, 10)).astype(np.uint16)
    more: dict[str, Any] = {
        "SliceVector": [1, 2, 3, 4, 5, 6],
        "FrameIncrementPointer": [0x00540080],
        "SpacingBetweenSlices": step,
        "DetectorInformationSequence": [_item(ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL)],
    }
    file = save_dicom(tmp_path / "a.dcm", volume, **more)
    head = header(file)
    assert head
    assert head.dim == 3
    assert np.array_equal(read([file], None, 3).values, volume if step > 0 else volume[::-1])
    more |= {"FrameIncrementPointer": [0x00540070, 0x00540080], "TimeSlotVector": [1, 1, 1, 2, 2, 2]}
    save_dicom(file, volume, **more | {"SliceVector": [1, 2, 3] * 2})
    ((_, reason),) = survey(tmp_path, dim=3).unreadable
    assert "TimeSlotVector" in reason
    assert len(survey(tmp_path, dim=2).items) == 6


def test_a_film_is_no_volume(tmp_path: Path, draw: Draw, save_dicom: Save) -> None:
    save_dicom(tmp_path / "a.dcm", draw((6, 12, 10)), FrameIncrementPointer=0x00181063, FrameTime="33.3")
    assert (survey(tmp_path).dim, len(survey(tmp_path).items)) == (2, 6)
    ((_, reason),) = survey(tmp_path, dim=3).unreadable
    assert "is a film" in reason


def test_slices_of_other_pixel_spacing_are_no_volume(
    tmp_path: Path, draw: Draw, save_series: Callable[..., list[str]], save_dicom: Save
) -> None:
    names = save_series(tmp_path, draw((9, 12, 10)).astype(np.int16), PixelSpacing=[1, 1])
    dataset = pydicom.dcmread(tmp_path / names[4])
    dataset.PixelSpacing = [2, 2]
    dataset.save_as(tmp_path / names[4])
    found = survey(tmp_path, dim=3)
    assert not found.items
    assert all("differ in PixelSpacing" in reason for _, reason in found.unreadable)
