"""The notebooks run, with a detector that hardly learns and on small images, and are committed with their outputs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_committed_with_its_outputs(file: Path) -> None:
    book = json.loads(file.read_text(encoding="utf-8"))
    assert file.stat().st_size < 300_000
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    ran = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))


@pytest.mark.slow
def test_they_run(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import run_notebooks

    data = tmp_path / "data"
    data.mkdir()
    rows = [["file", "patient_id"]]
    for person in range(120):
        coarse = np.random.default_rng(person).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(coarse.repeat(4, 0).repeat(4, 1)).save(data / f"{person}.png")
        rows.append([f"{person}.png", f"p{person}"])
    with (data / "manifest.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    small = f'size, preset, data, number = 32, "smoke", {str(data)!r}, 24'
    for file in NOTEBOOKS:
        book = run_notebooks.executed(file, small)
        assert not [
            output for cell in book.cells for output in cell.get("outputs", []) if output.output_type == "error"
        ]
