from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError, MemobenchError
from memobench.data.export import export_images, export_samples
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import prepare
from memobench.data.manifest import read_manifest
from memobench.images import Images


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8)])
def test_what_is_written_is_read_again(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(6, *shape)).astype(np.float32) / np.float32(255)
    images = Images(pixels, np.array(list("aabbcc")), np.array(list("xyxyxy")))
    export_images(images, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert list(manifest.patients) == images.patients.tolist()
    assert list(manifest.scans) == images.scans.tolist()
    inspected = prepare(inspect_folder(tmp_path / "out"), shape)
    assert np.allclose(inspected.pixels, [stretched(one) for one in pixels], atol=1e-6)
    assert inspected.patients.tolist() == images.patients.tolist()


def test_samples_are_written_without_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    np.savez_compressed(tmp_path / "run" / "samples.npz", samples=np.full((3, 8, 8), 0.5, dtype=np.float32))
    export_samples(tmp_path / "run", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png", "00002.png"]


def test_a_folder_in_use_and_a_run_without_samples_are_refused(
    tmp_path: Path, make_images: Callable[..., Images]
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        export_images(make_images(3), tmp_path)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(MemobenchError, match="has no samples"):
        export_samples(tmp_path, tmp_path / "out")
