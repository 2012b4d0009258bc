from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memobench.data import phantom
from memobench.data.resample import resize
from memobench.task import TASKS, SplitSizes


@pytest.mark.parametrize("family", phantom.FAMILIES)
def test_every_family_draws_bytes(family: str) -> None:
    image = phantom.draw(family, 3, 0, size=16)
    assert image.dtype == np.uint8
    assert set(image.shape) == {16}
    assert image.ndim == (3 if family.endswith("volume") else 2)
    assert (image == phantom.draw(family, 3, 0, size=16)).all()
    assert (image != phantom.draw(family, 4, 0, size=16)).any()


@pytest.mark.parametrize("family", phantom.FAMILIES)
def test_every_family_draws_sides_that_differ(family: str) -> None:
    deep = () if not family.endswith("volume") else (24,)
    cube = phantom.draw(family, 3, 0, size=32)
    assert (phantom.draw(family, 3, 0, size=(32,) * cube.ndim) == cube).all()
    for plane in ((16, 32), (32, 16)):
        image = phantom.draw(family, 3, 0, size=(*deep, *plane))
        assert image.shape == (*deep, *plane)
        assert image.dtype == np.uint8
        # the whole field of view is in it: brought to one shape, both show the same
        same, other = (resize(one.astype(np.float32) / 255, (16,) * cube.ndim).ravel() for one in (image, cube))
        assert np.corrcoef(same, other)[0, 1] > 0.9


@pytest.mark.parametrize("family", ["chest_ct_volume", "knee_volume"])
def test_volumes_with_few_planes_have_planes_of_full_detail(family: str) -> None:
    few, cube = phantom.draw(family, 1, 0, size=(8, 48, 48)), phantom.draw(family, 1, 0, size=48)
    detail = [np.abs(np.diff(one.astype(float), axis=2)).mean() for one in (few, cube)]
    assert 0.75 < detail[0] / detail[1] < 1.5


def test_patients_have_one_to_three_scans() -> None:
    counts = np.array([phantom.scan_count("radiograph", p) for p in range(2000)])
    shares = [np.mean(counts == n) for n in (1, 2, 3)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.035)  # about 3 standard errors
    assert phantom.scan_count("radiograph", 7) == phantom.scan_count("radiograph", 7)


def test_sides_hold_what_drawing_one_by_one_gives() -> None:
    task = replace(TASKS.get("mr2d"), split=SplitSizes(train=20, test=3, dev=2, fresh=4))
    sides, notes = phantom.draw_sides(task, (16, 16))
    assert notes == []
    counts = {name: images.patient_count for name, images in sides.items() if images is not None}
    assert counts == {"train": 20, "holdout": 20, "test": 3, "dev": 2, "fresh": 4}
    first = 0
    for name, images in sides.items():
        assert images is not None
        number = 0
        for patient in range(first, first + counts[name]):
            scans = phantom.scan_count(task.family, patient) if name in ("train", "holdout") else 1
            for scan in range(scans):
                expected = phantom.draw(task.family, patient, scan, size=16)
                assert (np.rint(images.pixels[number] * 255).astype(np.uint8) == expected).all()
                assert images.patients[number] == f"knee_slice-{patient:06d}"
                number += 1
        assert number == len(images)
        first += counts[name]
    assert len(sides["train"] or ()) > 20  # some have a second scan


def test_sides_that_differ_are_drawn_alike_by_one_process_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(TASKS.get("ct"), split=SplitSizes(train=9, test=2, dev=2, fresh=2))
    drawn = []
    for number in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", number)
        drawn.append(phantom.draw_sides(task, (16, 24, 16))[0])
    for name, images in drawn[0].items():
        assert images is not None
        assert images.shape == (16, 24, 16)
        assert images.digest == drawn[1][name].digest  # type: ignore[union-attr]


def test_the_key_names_everything_that_the_sides_depend_on() -> None:
    task = TASKS.get("xray")
    base = phantom.key(task, (64, 64))
    others = [
        phantom.key(task, (32, 32)),
        phantom.key(replace(task, family="knee_slice"), (64, 64)),
        phantom.key(replace(task, split=replace(task.split, train=95)), (64, 64)),
        phantom.key(replace(task, digest=""), (64, 64)),
    ]
    assert all(other != base for other in others)
    assert phantom.key(replace(task, samples=1), (64, 64)) == base
