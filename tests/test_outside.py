"""Samples from elsewhere are measured exactly as the samples of a run."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import DataError, UsageError
from memobench.data.samples import eight_bit, samples_digest
from memobench.outside import measure_samples
from memobench.results import Result
from memobench.run import run
from memobench.settings import MeasureSettings, RunSettings
from PIL import Image

Write = Callable[..., Path]
PLUGIN = '''
"""Gives the images of a file, as a plug-in would that was trained elsewhere."""
from dataclasses import dataclass
import numpy as np
from memobench.generator import GENERATORS, Generator

@GENERATORS.register("from_a_file")
@dataclass
class FromFile(Generator):
    file: str = ""
    def fit(self, images, *, context): return self
    def sample(self, n, *, seed): return np.load(self.file)["samples"].astype(np.float32)[:n] / np.float32(255)
    def state(self): return {"none": np.zeros(1)}
    def restore(self, state, *, device="cpu"): return self
'''


def _bytes(count: int = 24, size: int = 32) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (count, size // 4, size // 4), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def _pngs(images: np.ndarray, folder: Path) -> Path:
    folder.mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k:03d}.png")
    return folder


@pytest.fixture
def asked(write_folder: Write, tmp_path: Path) -> Callable[..., MeasureSettings]:
    data = str(write_folder())

    def ask(samples: Path, **more: Any) -> MeasureSettings:
        words = {"task": "xray", "data": data, "size": 32, "preset": "smoke", "out": tmp_path / "runs", "device": "cpu"}
        return MeasureSettings(**{**words, "samples": str(samples), **more})

    return ask


def _numbers(result: Result) -> dict[str, Any]:
    return {name: metric.model_dump() for name, metric in result.metrics.items()}


def test_png_npz_and_zip_give_the_numbers_of_a_plug_in(asked: Callable[..., MeasureSettings], tmp_path: Path) -> None:
    from memobench.base.registry import load_plugin

    images = _bytes()
    folder = _pngs(images, tmp_path / "made")
    batch = tmp_path / "made.npz"
    np.savez_compressed(batch, samples=images)
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(folder.iterdir()):
            packed.write(file, file.name)
    result, out = measure_samples(asked(folder, trained_on="task"))
    for other in (batch, archive):
        again, _ = measure_samples(asked(other, trained_on="task"))
        assert again.run_id == result.run_id
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin(tmp_path / "mine.py")
    same = asked(folder)
    settings = RunSettings(
        "from_a_file", "xray", same.data, 32, "smoke", {"file": str(batch)}, samples=24, out=same.out, device="cpu"
    )
    trained, _ = run(settings)
    assert _numbers(trained) == _numbers(result)
    assert (trained.decision, trained.challenge, trained.threshold) == (
        result.decision,
        result.challenge,
        result.threshold,
    )
    files = {"result.json", "gallery.png", "samples.png", "samples.npz", "scores.npz", "calls.csv", "regions.csv"}
    assert {file.name for file in out.iterdir()} == files
    assert result.identity.origin is not None
    assert result.identity.origin.digest == samples_digest(images.astype(np.float32) / np.float32(255))
    assert trained.identity.origin is None
    assert "origin" not in trained.identity.model_dump(mode="json")
    assert Result.model_validate_json((out / "result.json").read_text()) == result


def test_what_was_not_trained_on_the_task_is_never_free_of_copies(
    asked: Callable[..., MeasureSettings], tmp_path: Path
) -> None:
    folder = _pngs(_bytes(), tmp_path / "made")
    for declared in ("", "RSNA pneumonia"):
        result, _ = measure_samples(asked(folder, trained_on=declared))
        assert result.decision.word != "no copies found"
        (reason,) = [text for text in result.decision.reasons if text.startswith("The generator was trained")]
        assert (declared or "not declared") in reason
        assert reason in result.decision.sentence
        assert (declared or "not declared") in result.notes[0]
    told, _ = measure_samples(asked(folder, trained_on="task"))
    assert not [text for text in told.decision.reasons if text.startswith("The generator was trained")]


def test_another_size_is_resampled_and_said(asked: Callable[..., MeasureSettings], tmp_path: Path) -> None:
    folder = _pngs(_bytes(size=48), tmp_path / "made")
    result, out = measure_samples(asked(folder))
    assert any("resampled to 32x32" in note for note in result.notes)
    with np.load(out / "samples.npz", allow_pickle=False) as archive:
        assert archive["samples"].shape == (24, 32, 32)
        assert np.array_equal(archive["samples"], eight_bit(archive["samples"]))


def test_some_of_the_samples(asked: Callable[..., MeasureSettings], tmp_path: Path) -> None:
    folder = _pngs(_bytes(), tmp_path / "made")
    result, _ = measure_samples(asked(folder, count=20))
    assert result.counts["samples"] == 20
    assert any("20 of 24" in note for note in result.notes)
    with pytest.raises(UsageError, match="there are 24 samples, and 25"):
        measure_samples(asked(folder, count=25))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "ldm"}, "is a model of memobench"),
        ({"name": "../x"}, "is no name"),
        ({"trained_on": "x" * 201}, "takes 200 characters"),
        ({"samples": "nowhere"}, "there is no file or folder nowhere"),
        ({"samples": "hub:nobody"}, "hub:OWNER/NAME"),
    ],
)
def test_wrong_words_are_one_line(
    change: dict[str, Any], message: str, asked: Callable[..., MeasureSettings], tmp_path: Path
) -> None:
    settings = dataclasses.replace(asked(_pngs(_bytes(4), tmp_path / "made")), **change)
    with pytest.raises((UsageError, DataError), match=message) as caught:
        measure_samples(settings)
    assert "\n" not in str(caught.value)
