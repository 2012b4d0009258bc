"""What the converter of arrays reads, and what it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from memobench.base.errors import DataError, UsageError
from memobench.data.arrays import Reading, images_of, pixels_of
from PIL import Image

N, H, W, D = 6, 12, 10, 8
LUMA = np.array([0.299, 0.587, 0.114])


def _grey(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((N, H, W)).astype(np.float32)


def _bytes() -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 256, (N, H, W), dtype=np.uint8)
    values[:, 0, :2] = 0, 255
    return values


def _colour() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (N, H, W, 3), dtype=np.uint8)


def _volume() -> np.ndarray:
    return np.random.default_rng(3).random((N, D, H, W)).astype(np.float32)


FORMS: dict[str, tuple[Callable[[], Any], Callable[[], np.ndarray], Reading]] = {
    "(N, H, W) float32": (_grey, _grey, Reading()),
    "(N, H, W) float64": (lambda: _grey().astype(np.float64), _grey, Reading()),
    "(N, H, W) float16": (lambda: _grey().astype(np.float16), lambda: _grey().astype(np.float16), Reading()),
    "(N, 1, H, W)": (lambda: _grey()[:, None], _grey, Reading()),
    "(N, H, W, 1)": (lambda: _grey()[..., None], _grey, Reading()),
    "(H, W, N), said": (lambda: np.moveaxis(_grey(), 0, -1), _grey, Reading(axes="HWN")),
    "uint8": (_bytes, lambda: _bytes() / 255, Reading()),
    "uint16": (lambda: _bytes().astype(np.uint16) * 257, lambda: _bytes() / 255, Reading()),
    "12 bits in uint16, said": (
        lambda: _bytes().astype(np.uint16) * 16, lambda: _bytes() * 16.0 / 4095, Reading((0, 4095)),
    ),
    "int64 0 to 255, said": (lambda: _bytes().astype(np.int64), lambda: _bytes() / 255, Reading((0, 255))),
    "Hounsfield units, said": (
        lambda: _bytes().astype(np.int16) * 16 - 1024, lambda: _bytes() * 16.0 / 4095, Reading((-1024, 3071)),
    ),
    "[-1, 1], said": (lambda: _grey() * 2 - 1, _grey, Reading((-1, 1))),
    "[-1, 1] of this set alone": (lambda: _grey() * 2 - 1, _grey, Reading({"images": (-1, 1)})),
    "[0, 1] and another set said": (_grey, _grey, Reading({"others": (-1, 1)})),
    "bool": (lambda: _grey() > 0.5, lambda: (_grey() > 0.5) * 1.0, Reading()),
    "(N, H, W, 3)": (_colour, lambda: _colour() @ LUMA / 255, Reading()),
    "(N, 3, H, W)": (lambda: np.moveaxis(_colour(), -1, 1), lambda: _colour() @ LUMA / 255, Reading()),
    "(N, H, W, 4), opaque": (
        lambda: np.concatenate([_colour(), np.full((N, H, W, 1), 255, np.uint8)], -1),
        lambda: _colour() @ LUMA / 255,
        Reading(),
    ),
    "grey in three channels": (lambda: np.repeat(_bytes()[:, None], 3, 1), lambda: _bytes() / 255, Reading()),
    "(N, D, H, W)": (_volume, _volume, Reading()),
    "(N, 1, D, H, W)": (lambda: _volume()[:, None], _volume, Reading()),
    "(N, D, H, W, 1)": (lambda: _volume()[..., None], _volume, Reading()),
    "three slices, said": (lambda: _volume()[:, :3], lambda: _volume()[:, :3], Reading(axes="NDHW")),
    "tensor": (lambda: torch.tensor(_grey())[:, None], _grey, Reading()),
    "tensor with gradient": (lambda: torch.tensor(_grey(), requires_grad=True), _grey, Reading()),
    "bfloat16 tensor": (
        lambda: torch.tensor(_grey()).bfloat16(), lambda: torch.tensor(_grey()).bfloat16().float().numpy(), Reading(),
    ),
    "list of (H, W)": (lambda: list(_grey()), _grey, Reading()),
    "tuple of (1, H, W)": (lambda: tuple(_grey()[:, None]), _grey, Reading()),
    "list of (H, W, 3)": (lambda: list(_colour()), lambda: _colour() @ LUMA / 255, Reading()),
    "list of tensors": (lambda: [torch.tensor(one) for one in _grey()], _grey, Reading()),
    "list of volumes": (lambda: list(_volume()), _volume, Reading()),
    "list of PIL images": (lambda: [Image.fromarray(one) for one in _bytes()], lambda: _bytes() / 255, Reading()),
    "PIL, 16 bits": (
        lambda: [Image.fromarray(one.astype(np.uint16) * 257) for one in _bytes()], lambda: _bytes() / 255, Reading(),
    ),
    "PIL, palette": (
        lambda: [Image.fromarray(one).convert("P") for one in _bytes()], lambda: _bytes() / 255, Reading(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels(form: str) -> None:
    given, wanted, reading = FORMS[form]
    found = pixels_of(given(), "images", reading)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted(), atol=2e-6)


ASKED: dict[str, tuple[Callable[[], Any], Reading, str]] = {
    "[-1, 1]": (lambda: _grey() * 2 - 1, Reading(), r"value_range=\(-1, 1\)"),
    "0 to 255 as float": (lambda: _bytes() * 1.0, Reading(), r"value_range=\(0, 255\)"),
    "int64": (lambda: _bytes().astype(np.int64), Reading(), r"int64 values from 0 to 255; .*value_range=\(0, 255\)"),
    "Hounsfield units": (lambda: _bytes().astype(np.int16) * 16 - 1024, Reading(), r"value_range=\(-1024, 3071\)"),
    "[0, 1] said to be [-1, 1]": (_grey, Reading((-1, 1)), r"no value below 0.*\{'images': \(0, 1\)\}"),
    "uint8 said to be [-1, 1]": (_bytes, Reading((-1, 1)), "outside -1 to 1"),
    "NaN": (lambda: np.where(_grey() > 0.99, np.nan, _grey()), Reading(), "NaN or infinite values, first in image"),
    "(N, H, H, 3) or one image": (lambda: np.zeros((12, 10, 3)), Reading(), r"array\[None\]"),
    "(H, H, N)": (lambda: np.zeros((12, 12, 7)), Reading(), "'NHW' or 'HWN'"),
    "two channels or slices": (lambda: np.zeros((N, 2, H, W)), Reading(), "axes="),
    "(N, 3, H, 3)": (lambda: np.zeros((N, 3, H, 3)), Reading(), "axes="),
    "one image": (lambda: _grey()[0], Reading(), r"array\[None\]"),
    "six axes": (lambda: np.zeros((1,) * 6), Reading(), r"give \(N, H, W\)"),
    "opacity that varies": (
        lambda: np.random.default_rng(0).random((N, H, W, 4)), Reading(), "fourth channel that varies",
    ),
    "other axes than said": (_grey, Reading(axes="NCHW"), "do not describe"),
    "two shapes in a list": (lambda: [np.zeros((4, 4)), np.zeros((4, 5))], Reading(), "image 1 float64 4x5"),
    "complex": (lambda: _grey() * 1j, Reading(), "complex"),
    "objects": (lambda: np.array([object()]), Reading(), "object"),
    "masked": (lambda: np.ma.masked_less(_grey(), 0.5), Reading(), "masked"),
    "a word": (lambda: "folder", Reading(), "is a str"),
    "None": (lambda: None, Reading(), "is a NoneType"),
    "a dictionary": (lambda: {"a": _grey()}, Reading(), "is a dict"),
}  # fmt: skip


@pytest.mark.parametrize("form", ASKED)
def test_what_is_not_clear_is_asked_in_one_line(form: str) -> None:
    given, reading, words = ASKED[form]
    with pytest.raises(DataError, match=words) as caught:
        pixels_of(given(), "images", reading)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("images")


def test_scale_and_type_do_not_change_what_is_audited() -> None:
    as_bytes = images_of(_bytes(), "a").pixels
    for given, reading in [
        (_bytes()[:, None].astype(np.uint16) * 257, Reading()),
        (_bytes() / np.float32(255), Reading()),
        (_bytes() / 127.5 - 1, Reading((-1, 1))),
        (_bytes().astype(np.int16), Reading((0, 255))),
    ]:
        np.testing.assert_allclose(images_of(given, "a", reading=reading).pixels, as_bytes, atol=2e-6)


def test_patients_are_one_for_each_image() -> None:
    assert images_of(_grey(), "train", [1, 1, 2, 2, 3, 3]).patients.tolist() == list("112233")  # type: ignore[list-item]
    assert len(set(images_of(_grey(), "train").patients)) == N
    with pytest.raises(DataError, match="6 images and 2 patients"):
        images_of(_grey(), "train", ["a", "b"])
    with pytest.raises(DataError, match="image 1 has no patient"):
        images_of(_grey(), "train", ["a", float("nan"), "b", "c", "d", "e"])  # type: ignore[list-item]


@pytest.mark.parametrize("words", [{"axes": "HW"}, {"value_range": (1, 0)}, {"value_range": {"train": (0,)}}])
def test_words_that_mean_nothing_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Reading(**words)


def test_no_images_are_no_images() -> None:
    assert len(pixels_of(_grey()[:0], "images")) == len(pixels_of([], "images")) == 0
