from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.data.files.decode import decode, header
from memobench.data.files.picture import Picture, Unreadable

Draw = Callable[..., np.ndarray]


def _picture(file: Path) -> Picture:
    head = header(file)
    assert head
    return decode([file], None, len(head.shape))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_images_of_any_type(tmp_path: Path, draw: Draw, dtype: type) -> None:
    np.save(tmp_path / "a.npy", draw().astype(dtype))
    np.savez_compressed(tmp_path / "a.npz", draw().astype(dtype))
    for file in (tmp_path / "a.npy", tmp_path / "a.npz"):
        assert header(file).shape == (48, 40)
        assert np.allclose(_picture(file).pixels, draw() / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((9, 8), (9, 8)),
        ((1, 9, 8), (9, 8)),
        ((9, 8, 1), (9, 8)),
        ((1, 5, 9, 8, 1), (5, 9, 8)),
        ((9, 8, 3), (9, 8)),
        ((5, 9, 8), (5, 9, 8)),
        ((3, 9, 8), (9, 8)),
    ],
)
def test_axes_of_length_one_and_channels(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    head = header(tmp_path / "a.npy")
    assert head.shape == expected
    assert head.dim == len(expected)
    seen = _picture(tmp_path / "a.npy")
    assert seen.pixels.shape == expected
    assert seen.colour == (3 in (shape[0], shape[-1]))


def test_a_volume_is_found_among_others_by_its_name(tmp_path: Path, draw: Draw) -> None:
    np.savez(tmp_path / "a.npz", vol=draw((6, 7, 8)), spacing=np.ones(3))
    assert header(tmp_path / "a.npz").shape == (6, 7, 8)


@pytest.mark.parametrize("shape", [(7,), (2, 5, 6, 7, 8, 9)])
def test_other_dimensions_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(Unreadable, match="an image has 2 axes, a volume 3"):
        header(tmp_path / "a.npy")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Unreadable, match="Python objects"):
        header(tmp_path / "a.npy")
