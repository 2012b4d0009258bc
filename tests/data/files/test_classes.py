from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.data.files.classes import no_picture
from memobench.data.files.decode import header
from memobench.data.files.picture import Unreadable
from pydicom.dataset import Dataset
from pydicom.uid import UID, UID_dictionary

Draw = Callable[..., np.ndarray]
Save = Callable[..., Path]
STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("66.4", "Segmentation Storage"),
        ("66.5", "Surface Segmentation Storage"),
        ("481.2", "RT Dose Storage"),
        ("30", "Parametric Map Storage"),
        ("11.1", "Grayscale Softcopy Presentation State Storage"),
        ("104.1", "Encapsulated PDF Storage"),
    ],
)
def test_objects_with_pixels_that_are_no_picture(
    tmp_path: Path, draw: Draw, save_dicom: Save, number: str, name: str
) -> None:
    file = save_dicom(tmp_path / "a", draw(), SOPClassUID=UID(STORAGE + number))
    with pytest.raises(Unreadable, match=rf"is no picture of a patient \({name}\)"):
        header(file)


def test_every_class_called_an_image_is_one() -> None:
    """What DICOM itself calls an image of a patient is read, and what it calls otherwise is not."""
    refused = set()
    for uid, (name, *_) in UID_dictionary.items():
        if uid.startswith(STORAGE):
            dataset = Dataset()
            dataset.SOPClassUID = UID(uid)
            if no_picture(dataset):
                refused.add(name)
    images = {name for name in refused if "Image" in name}
    assert all("DICOS" in name or "Eddy" in name for name in images), images
    for part in ("Segmentation", "Dose Storage", "Waveform", "SR Storage", "Presentation State", "Encapsulated"):
        assert any(part in name for name in refused)


def test_a_modality_says_it_where_the_class_does_not() -> None:
    dataset = Dataset()
    dataset.Modality = "rtdose"
    assert no_picture(dataset) == "a dose, Modality RTDOSE"
    dataset.Modality = "CT"
    assert no_picture(dataset) is None
