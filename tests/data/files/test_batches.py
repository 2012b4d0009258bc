"""NPZ and NPY files of many images, with their patients where an array names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from memobench.data.files.inspect import survey
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import prepare

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (6, 16, 16), dtype=np.uint8)
VOLUMES = RNG.integers(0, 255, (4, 8, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize(
    ("values", "dim"),
    [
        (np.repeat(GREY[..., None], 3, axis=-1), 2),
        (np.repeat(GREY[:, None], 3, axis=1), 2),
        (GREY[:, None], 2),
        (GREY, 2),
        (GREY[..., None], 2),
        (VOLUMES, 3),
        (VOLUMES[:, None], 3),
        (VOLUMES[..., None], 3),
    ],
)
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_every_layout_of_a_batch(tmp_path: Path, values: np.ndarray, dim: int, suffix: str) -> None:
    if suffix == "npz":
        np.savez(tmp_path / "samples.npz", values)
    else:
        np.save(tmp_path / "samples.npy", values)
    found = survey(tmp_path, dim=dim)
    plain = GREY if dim == 2 else VOLUMES
    assert not found.unreadable
    assert len(found.items) == len(plain)
    pixels = prepare(found, plain.shape[1:]).pixels
    assert np.array_equal(pixels, [stretched(one) for one in plain])


def test_an_array_may_name_the_patients(tmp_path: Path) -> None:
    names = ["a", "a", "b", "b", "c", "c"]
    np.savez(tmp_path / "x.npz", images=GREY, patient_id=np.array(names), label=np.zeros(6))
    found = survey(tmp_path)
    assert (found.dim, found.patients_known) == (2, True)
    assert [item.patient for item in found.items] == names
    assert len({item.scan for item in found.items}) == 6


def test_as_many_patients_as_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=GREY, patient_id=np.arange(5))
    ((_, reason),) = survey(tmp_path).unreadable
    assert reason == "names 5 patients (patient_id) for 6 images"


def test_images_of_a_batch_without_names_are_patients_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", GREY[:, None])
    found = survey(tmp_path)
    assert len({item.patient for item in found.items}) == 6
    assert not found.patients_known


def test_planes_of_one_array_are_one_patient_unless_it_says(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", GREY)
    assert survey(tmp_path).dim == 3
    found = survey(tmp_path, dim=2)
    assert len(found.items) == 6
    assert len({item.patient for item in found.items}) == 1
    assert any("of 2D images (N, H, W)" in note for note in found.notes)


def test_a_volume_among_images_is_no_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "volume.npy", GREY)
    for index, plane in enumerate(GREY):
        np.save(tmp_path / f"{index}.npy", plane)
    found = survey(tmp_path)
    assert len(found.items) == 6
    assert [file for file, _ in found.unreadable] == ["volume.npy"]


def test_which_array_is_asked(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", first=GREY, second=GREY)
    ((_, reason),) = survey(tmp_path).unreadable
    assert "which is the image is not said" in reason
