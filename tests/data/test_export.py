from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.store import Store
from memobench.data.export import export, export_images, export_samples
from memobench.data.files.inspect import inspect_folder
from memobench.data.files.picture import stretched
from memobench.data.files.prepare import prepare
from memobench.data.manifest import read_manifest
from memobench.data.samples import eight_bit, samples_from
from memobench.data.splits import load_splits
from memobench.images import Images
from memobench.outside import measure_samples
from memobench.settings import ExportSettings, MeasureSettings
from memobench.task import TASKS


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


@pytest.mark.parametrize("layout", ["files", "npz", "imagefolder"])
def test_what_a_task_gives_out_is_measured_as_the_very_images(
    layout: str, write_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, out = str(write_folder()), tmp_path / "runs"
    asked = ExportSettings(tmp_path / "given", "xray", data, 32, layout, ("train",), out=out)
    name, note = export(asked)
    assert note == "README.md"
    splits, _, _ = load_splits(TASKS.get("xray"), data, 32, store=Store(out / ".stages"))
    again = samples_from(tmp_path / "given" / name, (32, 32))
    assert np.array_equal(again.pixels, eight_bit(splits.train.pixels))
    text = (tmp_path / "given" / note).read_text()
    assert splits.digest in text
    assert "Licence: that of your own images" in text
    with pytest.raises(DataError, match="not an empty folder"):
        export(asked)
    settings = MeasureSettings(
        "xray", str(tmp_path / "given" / name), "mine", "task", data, 32, "smoke", out=out, device="cpu"
    )
    if layout == "npz":  # exported and measured, they are what replay gives
        result, _ = measure_samples(settings)
        assert result.metrics["copy_rate"].value == 1
        assert result.metrics["memorized_rate"].value == 1
        assert result.decision.word == "do not release"


def test_an_imagefolder_is_what_hugging_face_reads(write_folder: Callable[..., Path], tmp_path: Path) -> None:
    asked = ExportSettings(tmp_path / "given", "xray", str(write_folder()), 32, "imagefolder", out=tmp_path / "runs")
    assert export(asked) == ["train", "holdout", "test", "README.md"]
    head = (tmp_path / "given" / "README.md").read_text().split("---")[1]
    for side in ("train", "holdout", "test"):
        assert f'split: {side}\n    path: "{side}/**"' in head
        lines = (tmp_path / "given" / side / "metadata.csv").read_text().splitlines()
        assert lines[0] == "file_name,patient_id,scan_id"
        assert (tmp_path / "given" / side / lines[1].split(",")[0]).is_file()


def test_volumes_are_no_imagefolder_and_sides_have_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="imagefolder holds 2D"):
        export(ExportSettings(tmp_path / "given", "ct", layout="imagefolder"))
    with pytest.raises(UsageError, match="--only dev"):
        export(ExportSettings(tmp_path / "given", "ct", only=("dev",)))
    assert not (tmp_path / "given").exists()
