"""What must hold between the sets of an audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memobench.audit.agreement import (
    balance_notes,
    check_apart,
    check_enough,
    contrast_notes,
    in_pose_of,
    window_notes,
    with_content,
)
from memobench.base.errors import DataError
from memobench.data.files.inspect import Found, Inspection, Item
from memobench.data.files.picture import BY_PERCENTILES, IN_WINDOW
from memobench.images import Images

Make = Callable[..., Images]


def test_sets_of_different_patients_and_images_are_apart(make_images: Make) -> None:
    train, holdout = make_images(6, seed=1), make_images(6, seed=2)
    check_apart(train, holdout)
    with pytest.raises(
        DataError, match=r'6 patients stand in train and in holdout \("1-p000" for one\); give a holdout'
    ):
        check_apart(train, train)
    other = Images(np.concatenate([holdout.pixels[:5], train.pixels[:1]]), holdout.patients, holdout.scans)
    with pytest.raises(DataError, match=r'1 image stands in train and in holdout \(of holdout patient "2-p005"'):
        check_apart(train, other)


def test_a_name_from_outside_is_printed_on_one_line(make_images: Make) -> None:
    train = make_images(1, seed=1)
    odd = Images(train.pixels, np.array(["a\n\x1b[2J"]), train.scans)
    with pytest.raises(DataError, match=r"a\\n\\x1b\[2J"):
        check_apart(odd, odd)


def test_few_patients_are_refused(make_images: Make) -> None:
    few, some, many = (make_images(count, seed=count) for count in (3, 4, 8))
    check_enough(many, None)
    check_enough(some, some)
    with pytest.raises(DataError, match=r"the training images are of 4 patients, too few to learn .* give at least 8"):
        check_enough(some, None)
    with pytest.raises(DataError, match=r"the training images are of 3 patients, too few to tell .* at least 4"):
        check_enough(few, many)
    with pytest.raises(DataError, match=r"the held-out images are of 3 patients.*or leave --holdout out"):
        check_enough(many, few)


def test_few_held_out_patients_are_noted(make_images: Make) -> None:
    train = make_images(12, seed=1)
    assert balance_notes(train, None) == balance_notes(train, make_images(6, seed=2)) == []
    (note,) = balance_notes(train, make_images(5, seed=2))
    assert note.startswith("only 5 patients were held out against 12 patients in train")


def test_inverted_sets_are_noted_by_name(make_images: Make) -> None:
    train = make_images(5, seed=1)
    ramp = np.linspace(0, 0.8, 32, dtype=np.float32)[:, None]
    upright = Images(train.pixels * 0.1 + ramp, train.patients, train.scans)
    inverted = Images(1 - upright.pixels, train.patients, train.scans)
    assert contrast_notes(upright, upright, None) == []
    notes = contrast_notes(inverted, upright, upright)
    assert [note.startswith("the synthetic images are inverted against the training images") for note in notes] == [
        True
    ]
    assert contrast_notes(upright, upright, inverted)[0].startswith("the held-out images are inverted")


def _folder(windowed: int, plain: int) -> Inspection:
    kinds = [
        Found("DICOM", f"{IN_WINDOW}, {BY_PERCENTILES}", windowed, 0, 9),
        Found("PNG", BY_PERCENTILES, plain, 0, 9),
    ]
    items = tuple(Item(f"{k}", (f"{k}",), None, "p", "s", (8, 8)) for k in range(windowed + plain))
    return Inspection(Path("x"), items, (), 2, True, "", (), tuple(kinds))


def test_windows_in_one_set_alone_are_noted() -> None:
    assert window_notes({"train": _folder(4, 0), "synthetic": _folder(3, 1)}) == []
    assert window_notes({"train": _folder(0, 4), "synthetic": _folder(0, 4)}) == []
    (note,) = window_notes({"train": _folder(4, 0), "synthetic": _folder(0, 4)})
    assert "100% of train, 0% of synthetic" in note


def test_a_holdout_in_another_pose_is_turned_as_a_whole(make_images: Make) -> None:
    ramp = np.linspace(0, 1, 32)[:, None] * np.linspace(0.2, 1, 32) ** 2
    some, others = (make_images(20, seed=seed) for seed in (1, 2))
    train, holdout = (replace(one, pixels=(0.3 * one.pixels + 0.7 * ramp).astype(np.float32)) for one in (some, others))
    assert in_pose_of(holdout, train) == (holdout, [])
    turned = replace(holdout, pixels=np.ascontiguousarray(np.rot90(holdout.pixels, axes=(1, 2))))
    back, (note,) = in_pose_of(turned, train)
    assert np.array_equal(back.pixels, holdout.pixels) or np.array_equal(back.pixels[..., ::-1], holdout.pixels)
    assert note.startswith("THE HELD-OUT IMAGES LIE IN ANOTHER ORIENTATION THAN THE TRAINING IMAGES")
    back, (note,) = in_pose_of(replace(holdout, pixels=1 - holdout.pixels), train)
    assert np.allclose(back.pixels, holdout.pixels)
    assert "inverted" in note


def test_even_real_images_are_left_out_and_named(make_images: Make) -> None:
    images = make_images(4)
    names = ["a", "b\n", "c", "d"]
    assert with_content(images, names, "training") == (images, names, [])
    pixels = images.pixels.copy()
    pixels[1] = 0.5
    kept, left, (note,) = with_content(replace(images, pixels=pixels), names, "training")
    assert len(kept) == 3
    assert left == ["a", "c", "d"]
    assert note.startswith("1 training image is even")
    assert note.endswith(r"left out: b\n")


def test_one_patient_with_most_images_is_noted(make_images: Make) -> None:
    train, holdout = make_images(20, seed=1), make_images(20, seed=2)
    assert balance_notes(train, holdout) == []
    one = np.where(np.arange(len(train)) < 0.6 * len(train), "big", train.patients)
    crowded = replace(train, patients=one)
    count = int((one == "big").sum())
    (note,) = balance_notes(crowded, holdout)
    assert note.startswith(f'{count} of the {len(train)} training images are of one patient ("big")')
    assert "held-out images are of one patient" in balance_notes(holdout, crowded)[0]
    assert "training images" in balance_notes(crowded, None)[0]
