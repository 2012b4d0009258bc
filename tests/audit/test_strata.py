"""Strata from the manifests of train and holdout."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from memobench.audit.strata import strata_of
from memobench.base.errors import DataError, UsageError
from memobench.images import Images


def side(root: Path, name: str, views: list[str]) -> tuple[Any, Images]:
    folder = root / name
    folder.mkdir()
    rows = [f"{name}{k}.png,{name}-p{k // 2},{view}" for k, view in enumerate(views)]
    (folder / "manifest.csv").write_text("file,patient_id,view\n" + "\n".join(rows) + "\n")
    items = [SimpleNamespace(file=f"{name}{k}.png") for k in range(len(views))]
    patients = np.array([f"{name}-p{k // 2}" for k in range(len(views))])
    pixels = np.zeros((len(views), 4, 4), dtype=np.float32)
    return SimpleNamespace(root=folder, items=items), Images(pixels, patients, np.arange(len(views)).astype(np.str_))


def test_each_patient_has_the_values_of_his_images(tmp_path: Path) -> None:
    sides = {name: side(tmp_path, name, views) for name, views in (("train", ["pa", "ap", "pa"]), ("holdout", ["ap"]))}
    found = {name: one[0] for name, one in sides.items()}
    images = {name: one[1] for name, one in sides.items()}
    strata = strata_of(found, images, ("view",))
    assert strata is not None
    assert strata.columns == ("view",)
    assert strata.of == {"train-p0": "ap+pa", "train-p1": "pa", "holdout-p0": "ap"}
    assert strata_of(found, images, ()) is None
    with pytest.raises(DataError, match=r'lacks the column "vieww"; did you mean "view"'):
        strata_of(found, images, ("vieww",))
    with pytest.raises(UsageError, match="give --holdout too"):
        strata_of({"train": found["train"]}, images, ("view",))
    (tmp_path / "holdout" / "manifest.csv").unlink()
    with pytest.raises(DataError, match=r"has no manifest.csv, so its images have no view"):
        strata_of(found, images, ("view",))
