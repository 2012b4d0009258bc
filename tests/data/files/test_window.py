from __future__ import annotations

import numpy as np
import pytest
from memobench.data.files.window import CentreWidth, LookUpTable, window_of
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600.5, 1500), (300, 2)])
def test_windows_are_those_of_pydicom(function: str, centre: float, width: float) -> None:
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 16, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = centre, width, function
    values = np.random.default_rng(0).integers(-1100, 1900, (40, 40)).astype(np.int16)
    theirs = (apply_windowing(values, dataset).astype(np.float64) + 2**15) / (2**16 - 1)
    window = window_of(dataset, dataset)
    assert window == CentreWidth(centre, width, function)
    assert window is not None
    assert np.allclose(window.apply(values), theirs, atol=2e-5)


@pytest.mark.parametrize(("centre", "width"), [(None, 10), (10, None), (10, 0), ("", "")])
def test_an_unusable_window_is_none(centre: object, width: object) -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = centre, width
    assert window_of(dataset, dataset) is None


def test_the_first_of_several_windows_counts() -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
    assert window_of(dataset, dataset) == CentreWidth(40, 400)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_table_comes_before_a_window(as_bytes: bool) -> None:
    entries = np.array([0, 1023, 2046, 4095], dtype="<u2")
    item = Dataset()
    item.LUTDescriptor = [4, 100, 12]
    item.add_new("LUTData", "OW" if as_bytes else "US", entries.tobytes() if as_bytes else entries.tolist())
    dataset = Dataset()
    dataset.VOILUTSequence, dataset.WindowCenter, dataset.WindowWidth = [item], 40, 400
    table = window_of(dataset, dataset)
    assert isinstance(table, LookUpTable)
    assert np.allclose(table.apply(np.array([0, 100, 101, 103, 999])) * 4095, [0, 0, 1023, 4095, 4095])
