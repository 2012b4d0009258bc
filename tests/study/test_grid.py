from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import memobench
import pytest
from memobench.base.errors import MemobenchError, UsageError
from memobench.cli.main import bench, main
from memobench.execution.settings import Execution
from memobench.generator import GENERATORS, build
from memobench.settings import RunSettings
from memobench.study.findings import MITIGATED, Arm, factors, mitigations
from memobench.study.grid import run_all, settings_of, words_of


def test_an_arm_becomes_the_settings_of_a_run() -> None:
    asked = RunSettings("ldm", "xray", preset="smoke", settings={"blocks": "2"})
    plain = settings_of(Arm("ldm", "ldm"), asked, 3, 96)
    assert (plain.model, plain.seed, plain.settings, plain.train_patients) == ("ldm", 3, {"blocks": "2"}, None)
    short = settings_of(Arm("short", "ldm", {"width": "small"}, length=0.25, patients=0.5), asked, 0, 96)
    assert short.settings == {"blocks": "2", "width": "small", "steps": "5"}  # of 20
    assert short.train_patients == 48
    few = RunSettings("ldm", "xray", train_patients=40)
    assert settings_of(Arm("ldm", "ldm"), few, 0, 96).train_patients == 40
    assert settings_of(Arm("half", "ldm", patients=0.5), few, 0, 96).train_patients == 20
    other = settings_of(Arm("noise", "noise"), asked, 0, 96)
    assert other.settings == {}
    early = settings_of(Arm("early", "ldm_early"), asked, 0, 96)
    assert early.settings == {"blocks": "2"}  # the same model, with a mitigation
    with pytest.raises(UsageError, match='"noise" has no field steps'):
        settings_of(Arm("short", "noise", length=0.5), asked, 0, 96)


def test_mitigations_are_entries_that_build() -> None:
    for model, names in MITIGATED.items():
        arms = mitigations(model).arms
        assert [arm.model for arm in arms] == [model, model, *names]
        for arm in arms:
            build(GENERATORS.get(arm.model), arm.model, "quick", arm.settings)


def test_the_words_of_a_run_mean_its_settings(tmp_path: Path) -> None:
    asked = RunSettings(
        "ldm", "xray", "data", 64, "smoke", {"steps": "5"}, 12, 20, 3, "cpu", ("inception",), tmp_path / "runs"
    )
    context = bench.commands["run"].make_context("run", words_of(asked, [tmp_path / "mine.py"])[1:])
    said = context.params
    assert (said["model"], said["task"], said["data"], said["size"], said["preset"]) == (
        "ldm",
        "xray",
        "data",
        "64",
        "smoke",
    )
    assert said["settings"] == ("steps=5",)
    assert (said["samples"], said["train_patients"], said["seed"], said["device"]) == (12, 20, 3, "cpu")
    assert said["features"] == ("inception",)
    assert said["plugin"] == (tmp_path / "mine.py",)
    assert said["out"] == tmp_path / "runs"


def test_every_comparison_is_of_arms_of_its_factor() -> None:
    for factor in factors("ldm", ("vae", "gan")):
        labels = {arm.label for arm in factor.arms}
        assert factor.findings
        for finding in factor.findings:
            assert finding.comparisons
            for pair in finding.comparisons:
                assert {pair.more, pair.less} <= labels
        assert factor.brief().findings == factor.findings
        assert {arm.label for arm in factor.brief().arms} == {
            label for finding in factor.findings for pair in finding.comparisons for label in (pair.more, pair.less)
        }
    labels = [arm.label for factor in factors() for arm in factor.arms]
    assert labels.count("ldm") == 5  # the arm that all share


def test_a_failed_run_is_named_and_the_others_are_done(write_folder: object, tmp_path: Path) -> None:
    folder = write_folder()  # type: ignore[operator]
    good = RunSettings("noise", "xray", str(folder), 32, "smoke", samples=12, out=tmp_path / "runs")
    bad = RunSettings("noise", "xray", str(folder), 32, "smoke", samples=12, device="cuda:9", out=tmp_path / "runs")
    said: list[str] = []
    with pytest.raises(MemobenchError, match=r"1 of 2 runs failed; the same command goes on. noise, seed 0: device"):
        run_all([bad, good], say=said.append)
    assert said[0].startswith("1 of 2: noise, seed 0: device")
    assert said[1:] == ["2 of 2: noise, seed 0: done"]
    assert len(list((tmp_path / "runs").glob("xray-noise-*/result.json"))) == 1

    # the same two, each a command of its own
    said.clear()
    there = [replace(one, out=tmp_path / "two") for one in (bad, good)]
    with pytest.raises(MemobenchError, match=r"1 of 2 runs failed; the same command goes on. noise, seed 0: device"):
        run_all(there, execution=Execution(jobs=2), say=said.append)
    assert sorted(line.partition(": ")[2][:21] for line in said) == ["noise, seed 0: device", "noise, seed 0: done"]
    here, elsewhere = (next((tmp_path / name).glob("xray-noise-*")) for name in ("runs", "two"))
    for name in ("scores.npz", "samples.npz", "calls.csv"):
        assert (here / name).read_bytes() == (elsewhere / name).read_bytes()
    metrics = [json.loads((folder / "result.json").read_text())["metrics"] for folder in (here, elsewhere)]
    assert metrics[0] == metrics[1]


@pytest.mark.slow  # its smoke twin is the test before
@pytest.mark.skipif(os.name != "posix", reason="clusters are on Linux")
def test_two_runs_are_the_same_bytes_here_on_slurm_and_on_ray(
    write_folder: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    pytest.importorskip("ray")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(memobench.__file__).parents[1]))
    words = ["run", "--model", "ldm", "--task", "xray", "--data", str(write_folder()), "--size", "32"]  # type: ignore[operator]
    words += ["--preset", "smoke", "--samples", "12", "--device", "cpu"]
    executors = {
        "local": ["--seeds", "0-1", "--jobs", "2"],
        "slurm": ["--seeds", "0", "--executor", "slurm", "--executor-set", "cluster=local"],
        "ray": ["--seeds", "1", "--executor", "ray"],
    }
    found: dict[str, dict[str, object]] = {}
    for name, more in executors.items():
        with suppress(SystemExit):
            main([*words, "--out", str(tmp_path / name), *more])
        folders = sorted((tmp_path / name).glob("xray-ldm-*"))
        assert capsys.readouterr().out.count("Files: ") == len(folders)
        found[name] = {
            folder.name: (
                (folder / "samples.npz").read_bytes(),
                json.loads((folder / "result.json").read_text())["metrics"],
            )
            for folder in folders
        }
    assert len(found["local"]) == 2
    assert found["local"] == {**found["slurm"], **found["ray"]}
