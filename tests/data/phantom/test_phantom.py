from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memobench.data import phantom
from memobench.task import TASKS, SplitSizes


@pytest.mark.parametrize("family", phantom.FAMILIES)
def test_every_family_draws_bytes(family: str) -> None:
    image = phantom.draw(family, 3, 0, size=16)
    assert image.dtype == np.uint8
    assert set(image.shape) == {16}
    assert image.ndim == (3 if family.endswith("volume") else 2)
    assert (image == phantom.draw(family, 3, 0, size=16)).all()
    assert (image != phantom.draw(family, 4, 0, size=16)).any()


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
