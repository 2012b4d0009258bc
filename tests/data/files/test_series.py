from __future__ import annotations

from dataclasses import replace

import pytest
from memobench.data.files.picture import Header
from memobench.data.files.places import Place
from memobench.data.files.series import MIN_SLICES, Part, likely_dim, parts

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _slice(
    z: float | None, number: int = 1, *, instance: str = "", orientation: tuple[float, ...] = AXIAL, side: int = 8
) -> Header:
    place = Place(None if z is None else (0, 0, z), orientation, number, instance)
    return Header((side, side), series="1.2", places=(place,))


def _series(count: int) -> dict[str, Header]:
    return {f"{(index * 7) % 31:02d}": _slice(-2.5 * index) for index in range(count)}


def test_slices_are_sorted_by_place() -> None:
    headers = _series(9)
    (part,), other, notes = parts(headers, 3)
    assert part == Part(tuple(reversed(headers)))
    assert not other
    assert any("1 volume was assembled from 9 files" in note for note in notes)
    assert not any("lack slices" in note for note in notes)


def test_slices_without_place_are_sorted_by_number() -> None:
    headers = {"a": _slice(None, 3), "b": _slice(None, 1), "c": _slice(None, 2)}
    assert parts(headers, 3)[0] == [Part(("b", "c", "a"))]


def test_series_of_two_patients_are_two() -> None:
    headers = {
        f"{patient}{z}": Header((8, 8), patient=patient, series="1", places=_slice(z).places)
        for patient in "ab"
        for z in range(3)
    }
    assert [part.files for part in parts(headers, 3)[0]] == [("a0", "a1", "a2"), ("b0", "b1", "b2")]


def test_a_lacking_slice_is_remarked() -> None:
    headers = _series(9)
    del headers[list(headers)[4]]
    assert any("1 DICOM series seems to lack slices" in note for note in parts(headers, 3)[2])


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([_slice(0)], "is a single slice"),
        ([_slice(0), _slice(0), _slice(1)], "several slices at one place"),
        ([_slice(0, instance="5"), _slice(1, instance="5")], "a slice is there twice"),
        ([_slice(0), _slice(1, side=9)], "different size"),
        ([_slice(0), _slice(1, orientation=(0, 1, 0, 0, 0, -1))], "several orientations"),
        ([_slice(None), _slice(None)], "neither a place nor distinct numbers"),
    ],
)
def test_what_is_no_volume_is_refused_file_by_file(headers: list[Header], reason: str) -> None:
    named = {str(index): head for index, head in enumerate(headers)}
    found, other, _ = parts(named, 3)
    assert not found
    assert set(other) == set(named)
    assert all(reason in text for text in other.values())


def test_in_2d_every_slice_and_frame_is_an_image() -> None:
    headers = {**_series(2), "film": Header((8, 8), frames=3), "volume": Header((4, 8, 8), dim=3)}
    found, other, _ = parts(headers, 2)
    assert found == [Part(("00",)), Part(("07",)), *[Part(("film",), frame) for frame in range(3)]]
    assert "is a 3D volume (4x8x8) among 2D images" in other["volume"]


def test_in_3d_an_image_is_refused() -> None:
    headers = {"stack": Header((8, 8), frames=3), "volume": Header((4, 8, 8), dim=3), "image": Header((8, 8))}
    found, other, _ = parts(headers, 3)
    assert found == [Part(("stack",)), Part(("volume",))]
    assert "is a 2D image (8x8) among 3D volumes" in other["image"]


def test_the_dimension_of_most_files() -> None:
    volume, image = Header((4, 8, 8), dim=3), Header((8, 8))
    assert likely_dim({"a": volume, "b": volume, "c": image}) == (3, {2: 1, 3: 2})
    assert likely_dim({"a": volume, "b": image})[0] == 2
    assert likely_dim(_series(MIN_SLICES)) == (3, {3: MIN_SLICES})
    assert likely_dim(_series(MIN_SLICES - 1))[0] == 2
    assert likely_dim({str(index): _slice(None, index) for index in range(20)})[0] == 2


def test_the_slices_that_do_not_fit_are_named() -> None:
    for odd in (_slice(5, side=9), _slice(5, orientation=(0, 1, 0, 0, 0, -1))):
        named = {f"{z}.dcm": _slice(z) for z in range(4)} | {"scout.dcm": odd}
        assert all("take the odd ones out (here scout.dcm)" in text for text in parts(named, 3)[1].values())
        first = {"a.dcm": odd, **{f"{z}.dcm": _slice(z) for z in range(4)}}
        assert all("(here a.dcm)" in text for text in parts(first, 3)[1].values())
    twice = {"a.dcm": _slice(0, instance="5"), "b.dcm": _slice(1, instance="5"), "c.dcm": _slice(2, instance="6")}
    assert all("delete the copy (here a.dcm, b.dcm)" in text for text in parts(twice, 3)[1].values())


@pytest.mark.parametrize(("lacking", "noted"), [((), False), ((2,), True), ((0, 1, 2, 3), True)])
def test_a_volume_without_places_is_noted(lacking: tuple[int, ...], noted: bool) -> None:
    headers = {f"{z}": replace(_slice(None if z in lacking else z, z + 1), kind="CT") for z in range(4)}
    found, other, notes = parts(headers, 3)
    assert [part.files for part in found] == [tuple("0123")]
    assert not other
    assert any("does not say of every slice where it stands" in note for note in notes) == noted


def test_a_screen_shot_among_slices_is_none_of_them() -> None:
    headers = {f"{z}.dcm": replace(_slice(z, z), kind="CT") for z in range(4)}
    headers["shot.dcm"] = replace(_slice(None, 9), kind="SC")
    found, other, notes = parts(headers, 3)
    assert [part.files for part in found] == [tuple(f"{z}.dcm" for z in range(4))]
    assert list(other) == ["shot.dcm"]
    assert "is a single slice among 3D volumes" in other["shot.dcm"]
    assert not any("where it stands" in note for note in notes)


def test_localizers_beside_the_slices_that_were_planned_on_them_are_left_out() -> None:
    """In the series itself or in one of its own, of another size or not; alone they are what there is."""
    slices = _series(9)
    scout = replace(next(iter(slices.values())), kind="x localizer", localizer=True)
    scouts = {"scout.dcm": scout, "topogram.dcm": replace(scout, series="other", shape=(9, 4))}
    found, other, notes = parts({**scouts, **slices}, 3)
    assert [len(part.files) for part in found] == [9]
    assert other == {}
    assert "2 DICOM localizers (scout images) were left out, such as scout.dcm" in notes
    alone, refused, _ = parts(scouts, 3)
    assert alone == []
    assert set(refused) == set(scouts)
    assert len(parts(scouts, 2)[0]) == 2
