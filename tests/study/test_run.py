from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.base.errors import DataError, MemobenchError, UsageError
from memobench.base.registry import load_plugin
from memobench.cli.main import main
from memobench.generator import Generator
from memobench.results import Result
from memobench.study.results import StudyResult, study_text
from memobench.study.run import run_study
from memobench.study.settings import StudySettings

Write = Callable[..., Path]
# a model that copies a share of its samples, more with more steps, with the switches of a trained one
COPIER = '''
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from memobench.generator import GENERATORS, Generator

@GENERATORS.register("copier")
@dataclass
class Copier(Generator):
    """Copies."""
    width: str = "base"
    augment: str = "none"
    steps: int = 8
    PRESETS: ClassVar = {"smoke": {}, "quick": {}}

    def fit(self, images, *, context):
        self.train = np.array(images.pixels)
        return self

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        copies = round(n * min(1, self.steps / 8))
        made = rng.random((n, *self.train.shape[1:])).astype(np.float32)
        made[:copies] = self.train[rng.integers(len(self.train), size=copies)]
        return made

    def state(self):
        return {"train": self.train}

    def restore(self, state, *, device="cpu"):
        self.train = np.asarray(state["train"])
        return self
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "copier.py"
    file.write_text(COPIER)
    return file


def _words(data: Path, out: Path, plugin: Path, *more: str) -> list[str]:
    words = ["study", "--task", "xray", "--data", str(data), "--model", "copier", "--against", "noise"]
    words += [
        "--preset",
        "smoke",
        "--seeds",
        "0-1",
        "--samples",
        "24",
        "--size",
        "32",
        "--plugin",
        str(plugin),
        "--out",
        str(out),
    ]
    return [*words, *more]


@pytest.mark.smoke
def test_a_study_decides_what_is_plain(
    write_folder: Write, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_folder(patients=24, shape=(32, 32)), tmp_path / "runs"
    with pytest.raises(SystemExit) as ended:
        main(_words(data, out, plugin, "--only", "length"))
    assert ended.value.code == 0
    shown = capsys.readouterr()
    (file,) = out.glob("study-*/study.json")
    result = StudyResult.model_validate_json(file.read_text())
    assert [arm.label for arm in result.arms] == ["quarter of the steps", "half of the steps", "copier"]
    assert all(len(arm.runs) == 2 for arm in result.arms)
    claims = {finding.claim: finding.verdict for finding in result.findings}
    assert claims["longer training raises memorization"] == "reproduced"
    whole = next(arm for arm in result.arms if arm.label == "copier")
    assert whole.metrics["train_share"].value > 0.9
    assert whole.metrics["train_share"].low <= whole.metrics["train_share"].value <= whole.metrics["train_share"].high
    assert {f.name for f in file.parent.iterdir()} == {
        "study.json",
        *(f"{name}.{ending}" for name in ("length", "pareto") for ending in ("png", "svg")),
    }
    assert "longer training raises memorization" in shown.out
    assert "6 runs" in shown.err
    # again, from what is stored, and in two processes
    with pytest.raises(SystemExit) as ended:
        main(_words(data, out, plugin, "--only", "length", "--jobs", "2", "--json"))
    assert ended.value.code == 0
    assert StudyResult.model_validate(json.loads(capsys.readouterr().out)) == result
    # with a field of the model set in all arms, of which some take a share
    with pytest.raises(SystemExit) as ended:
        main(_words(data, out, plugin, "--only", "length", "--seeds", "0-0", "--set", "steps=4"))
    assert ended.value.code == 0
    assert "preset smoke, steps=4, seed 0" in capsys.readouterr().out
    runs = [Result.model_validate_json(one.read_text()) for one in out.glob("xray-copier-*/result.json")]
    assert {run.identity.parameters["steps"] for run in runs} == {1, 2, 4, 8}


@pytest.mark.parametrize("train_patients", [None, 16])
def test_fewer_patients_are_an_arm(write_folder: Write, tmp_path: Path, train_patients: int | None) -> None:
    asked = StudySettings(
        "xray",
        str(write_folder(patients=60, shape=(32, 32), scans=1)),
        "noise",
        size=32,
        only=("patients",),
        preset="smoke",
        seeds=(0,),
        samples=8,
        train_patients=train_patients,
        out=tmp_path / "runs",
    )
    result, _ = run_study(asked)
    assert len(result.arms) == 3
    counts = [Result.model_validate_json(f.read_text()).counts for f in asked.out.glob("xray-noise-*/result.json")]
    whole = train_patients or max(count["train_patients"] for count in counts)
    assert sorted(count["train_patients"] for count in counts) == [max(2, round(whole / 4)), round(whole / 2), whole]
    assert len({run for arm in result.arms for run in arm.runs}) == 3
    assert "more training images lower memorization" in study_text(result)


@pytest.mark.smoke
def test_a_study_is_put_together_from_kept_results(
    write_folder: Write,
    plugin: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, kept = write_folder(patients=24, shape=(32, 32)), tmp_path / "kept"
    words = ["--only", "length", "--kept", str(kept), "--json"]

    def study(out: str, seeds: str) -> tuple[StudyResult, str]:
        asked = _words(data, tmp_path / out, plugin, *words)
        asked[asked.index("0-1")] = seeds
        with pytest.raises(SystemExit) as ended:
            main(asked)
        assert ended.value.code == 0
        shown = capsys.readouterr()
        return StudyResult.model_validate(json.loads(shown.out)), shown.err

    first, said = study("one machine", "0-0")
    assert "0 of them are kept" in said
    assert {file.name for file in kept.glob("*/*")} == {"result.json", "scores.npz"}
    both, said = study("another", "0-1")
    assert "3 of them are kept" in said
    assert len(list((tmp_path / "another").glob("xray-copier-*"))) == 3  # those of the other seed alone
    assert len(list(kept.iterdir())) == 6
    # nothing is run any more, and one damaged result is found out and made again
    with monkeypatch.context() as patched:
        patched.setattr("memobench.study.grid.run", lambda settings: pytest.fail("everything is kept"))
        assert study("a third", "0-1")[0] == both
        assert study("a fourth", "0-0")[0] == first
        # nor need the generator run here: what it asks for may be missing on this machine
        patched.setattr(Generator, "skip", classmethod(lambda cls, shape: "its library is not installed"))
        assert study("one without the library", "0-1")[0] == both
    damaged = next(kept.iterdir()) / "result.json"
    damaged.write_text(damaged.read_text()[:-30])
    again, said = study("a fifth", "0-1")
    assert "5 of them are kept" in said
    assert again == both


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_trained(
    write_folder: Write, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    asked = StudySettings(
        "xray", str(write_folder(patients=24, shape=(32, 32))), "noise", ("fresh",), 32, ("model",), preset="smoke",
        seeds=(0,), samples=8, out=tmp_path / "runs", kept=tmp_path / "file" / "kept",
    )  # fmt: skip
    with pytest.raises(MemobenchError, match=r"cannot write into .*kept: .*choose another --kept"):
        run_study(asked)
    assert not list(asked.out.glob("xray-*"))


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'unknown factor "lenght".*length'):
        run_study(StudySettings("xray", only=("lenght",), out=tmp_path))
    with pytest.raises(UsageError, match="one seed"):
        run_study(StudySettings("xray", seeds=(), out=tmp_path))


def test_too_few_samples_to_compare_are_an_error_with_its_reason(write_folder: Write, tmp_path: Path) -> None:
    data = str(write_folder(patients=24, shape=(32, 32)))
    asked = StudySettings(
        "xray", data, "noise", ("mean",), 32, ("model",), preset="smoke", seeds=(0,), samples=4, out=tmp_path / "runs"
    )
    with pytest.raises(DataError, match=r"has no fd_ssl to compare: .*quality was not measured"):
        run_study(asked)


def test_mitigations_are_compared_where_they_are_asked_for(write_folder: Write, plugin: Path, tmp_path: Path) -> None:
    load_plugin(plugin)
    data = str(write_folder(patients=24, shape=(32, 32)))
    asked = StudySettings(
        "xray", data, "copier", size=32, only=("mitigation",), preset="smoke", seeds=(0,), samples=24, out=tmp_path
    )
    result, folder = run_study(asked)
    assert [arm.label for arm in result.arms] == ["copier", "strong augmentation"]
    claims = ["strong augmentation lowers memorization", "strong augmentation costs quality"]
    assert {finding.claim: finding.verdict for finding in result.findings} == dict.fromkeys(claims, "undecided")
    assert (folder / "mitigation.svg").is_file()
