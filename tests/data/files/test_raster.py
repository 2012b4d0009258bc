from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from memobench.data.files.decode import decode, header
from memobench.data.files.inspect import survey
from memobench.data.files.picture import Unreadable, stretched
from PIL import Image

Draw = Callable[..., np.ndarray]


@pytest.mark.parametrize(("ending", "error"), [("png", 0), ("tif", 0), ("jpg", 0.03)])
def test_eight_bit_images(tmp_path: Path, draw: Draw, ending: str, error: float) -> None:
    file = tmp_path / f"a.{ending}"
    Image.fromarray(draw()).save(file, quality=95)
    seen = decode([file], None, 2)
    assert header(file).shape == (48, 40)
    assert np.abs(seen.pixels - draw() / np.float32(255)).max() <= error + 1e-6
    assert not seen.colour


@pytest.mark.parametrize(("ending", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.float32)])
def test_deeper_images(tmp_path: Path, draw: Draw, ending: str, dtype: type) -> None:
    file = tmp_path / f"a.{ending}"
    Image.fromarray((draw().astype(np.float64) * 11 + 300).astype(dtype)).save(file)
    seen = decode([file], None, 2)
    assert np.allclose(seen.pixels, draw() / 255, atol=1e-3)
    assert (seen.low, seen.high) == (300, 3105)


def test_sixteen_bit_tiff_whose_smallest_value_is_white(tmp_path: Path, draw: Draw) -> None:
    file = tmp_path / "a.tif"
    values = draw().astype(np.uint16) * 11
    Image.fromarray(values).save(file, tiffinfo={262: 0})
    with Image.open(file) as image:
        assert image.tag_v2[262] == 0
    assert np.allclose(decode([file], None, 2).pixels, 1 - draw() / 255, atol=1e-3)


def test_colour_becomes_luminance_and_grey_in_three_channels_does_not_count_as_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    Image.fromarray(colours[..., :1].repeat(3, axis=2)).save(tmp_path / "grey.png")
    colour, grey = decode([tmp_path / "colour.png"], None, 2), decode([tmp_path / "grey.png"], None, 2)
    assert colour.colour
    assert np.allclose(colour.pixels, stretched(colours @ [0.299, 0.587, 0.114]), atol=2e-6)
    assert not grey.colour
    assert np.array_equal(grey.pixels, stretched(colours[..., 0]))


def test_a_camera_rotation_is_undone(tmp_path: Path, draw: Draw) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(draw()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode([tmp_path / "a.png"], None, 2).pixels, stretched(np.rot90(draw(), -1)))


def _pages(file: Path, pages: list[np.ndarray]) -> Path:
    first, *rest = map(Image.fromarray, pages)
    first.save(file, save_all=True, append_images=rest)
    return file


def test_pages_are_images_in_2d_and_slices_in_3d(tmp_path: Path, draw: Draw) -> None:
    pages = [draw(seed=seed) for seed in range(3)]
    file = _pages(tmp_path / "a.tif", pages)
    assert header(file).frames == 3
    assert np.array_equal(decode([file], 2, 2).pixels, stretched(pages[2]))
    assert np.array_equal(decode([file], None, 3).pixels, stretched(np.stack(pages)))


def test_slices_share_one_scale(tmp_path: Path, draw: Draw) -> None:
    bright = draw().astype(np.uint16) * 100
    seen = decode([_pages(tmp_path / "a.tif", [bright, bright // 2])], None, 3)
    assert seen.pixels[0].max() == 1
    assert seen.pixels[1].max() == pytest.approx(0.5, abs=0.01)


def test_pages_of_different_size_are_no_volume(tmp_path: Path, draw: Draw) -> None:
    file = _pages(tmp_path / "a.tif", [draw(), draw((24, 20))])
    with pytest.raises(Unreadable, match="pages of different size"):
        decode([file], None, 3)
    assert decode([file], 1, 2).pixels.shape == (24, 20)


@pytest.mark.parametrize("preview_first", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_previews_and_masks_are_no_images_of_their_own(
    tmp_path: Path, draw: Draw, dtype: type, preview_first: bool
) -> None:
    full, small = draw().astype(dtype), draw().astype(dtype)[::4, ::4]
    pages = [(full, 0), (small, 1), (draw() > 100, 4)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page, kind in pages[::-1] if preview_first else pages:
            writer.write(page, subfiletype=kind, photometric="minisblack")
    head = header(tmp_path / "a.tif")
    assert head
    assert (head.shape, head.frames, head.dim) == ((48, 40), 1, 2)
    assert np.array_equal(decode([tmp_path / "a.tif"], None, 2).pixels, stretched(draw()))
    found = survey(tmp_path)
    assert len(found.items) == 1
    assert any(
        "previews or masks of an image (NewSubfileType) were passed over in 1 file" in one for one in found.notes
    )


def test_a_preview_without_its_image_is_refused(tmp_path: Path, draw: Draw) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw(), subfiletype=1)
    with pytest.raises(Unreadable, match="previews or masks of an image only"):
        header(tmp_path / "a.tif")


def test_an_animation_is_not_read_as_its_first_image(tmp_path: Path, draw: Draw) -> None:
    first, *others = (Image.fromarray(draw(seed=k)) for k in range(3))
    first.save(tmp_path / "a.png", save_all=True, append_images=others)
    with pytest.raises(Unreadable, match="is an animation of 3 images"):
        decode([tmp_path / "a.png"], None, 2)


_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda v: v,
    2: np.fliplr,
    3: lambda v: np.rot90(v, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda v: np.rot90(v, -1),
    7: lambda v: np.rot90(v.T, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("turn", _UPRIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_every_type_of_tiff_is_turned_upright(tmp_path: Path, draw: Draw, dtype: type, turn: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw().astype(dtype), extratags=[(274, 3, 1, turn, True)])
    seen = decode([tmp_path / "a.tif"], None, 2).pixels
    assert np.array_equal(seen, stretched(_UPRIGHT[turn](draw())))


@pytest.mark.parametrize(
    ("axes", "shape", "word"),
    [("ZCYX", (5, 2, 16, 18), "channels"), ("TZYX", (2, 5, 16, 18), "times"), ("ZYX", (10, 16, 18), "")],
)
@pytest.mark.parametrize("style", ["imagej", "ome"])
def test_channels_and_times_of_a_stack_are_no_slices(
    tmp_path: Path, axes: str, shape: tuple[int, ...], word: str, style: str
) -> None:
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    kind: dict[str, Any] = {style: True, "metadata": {"axes": axes}, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", values, **kind)
    head = header(tmp_path / "a.tif")
    assert head
    assert (head.frames, head.dim) == (10, 2 if word else 3)
    found = survey(tmp_path, dim=3)
    if word:
        assert f"holds several volumes (by the {word} of its description)" in found.unreadable[0][1]
        assert len(survey(tmp_path).items) == 10
    else:
        assert not found.unreadable


def test_a_stack_of_colour_slices_is_a_volume(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (4, 16, 18, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", ome=True)
    head = header(tmp_path / "a.tif")
    assert head
    assert (head.frames, head.dim, head.film) == (4, 3, "")


def test_more_channels_than_colour_has_are_refused(tmp_path: Path, draw: Draw) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([draw()] * 5), photometric="minisblack", planarconfig="contig")
    with pytest.raises(Unreadable, match="has 5 channels, so it is neither grey nor colour"):
        header(tmp_path / "a.tif")


def test_what_pillow_does_not_know_is_said_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    with pytest.raises(Unreadable, match=r"^is damaged, or a kind of PNG") as caught:
        decode([tmp_path / "a.png"], None, 2)
    assert str(tmp_path) not in str(caught.value)
