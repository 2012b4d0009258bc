from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memobench.base.errors import MemobenchError
from memobench.base.store import Store
from memobench.data.splits import load_splits
from memobench.results import Result
from memobench.run import identity_of, run
from memobench.settings import RunSettings
from memobench.task import TASKS

ROOT = Path(__file__).parents[1]
Write = Callable[..., Path]
BENCH = (
    # a test run in the background of a shell hands an ignored SIGINT down to its children
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    f"import sys; sys.path.insert(0, {str(ROOT / 'benchmark')!r}); "
    "from memobench.cli.main import main; main(sys.argv[1:])"
)


def _start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", BENCH, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _words(model: str, data: Path, out: Path, *more: str) -> list[str]:
    command = ["run", "--model", model, "--task", "xray", "--preset", "smoke", "--size", "32", "--samples", "24"]
    return [*command, "--data", str(data), "--out", str(out), *more]


def _timeless(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*/result.json")
    result = json.loads(file.read_text())
    del result["seconds"], result["training"], result["checksum"]  # time and memory
    return dict(result)


@pytest.mark.smoke
def test_a_run_writes_all_its_files_and_is_found_again(write_folder: Write, tmp_path: Path) -> None:
    settings = RunSettings("noise", "xray", str(write_folder()), 32, "smoke", samples=24, out=tmp_path / "runs")
    said: list[str] = []
    result, folder = run(settings, say=said.append)
    files = {"result.json", "gallery.png", "samples.png", "samples.npz", "scores.npz", "calls.csv", "regions.csv"}
    assert {file.name for file in folder.iterdir()} == files
    assert Result.model_validate_json((folder / "result.json").read_text()) == result
    with np.load(folder / "samples.npz", allow_pickle=False) as archive:
        assert archive["samples"].shape == (24, 32, 32)
    with np.load(folder / "scores.npz", allow_pickle=False) as archive:
        assert archive["train_score"].shape == archive["p_value"].shape == (24,)
        assert all(np.isfinite(archive[name]).all() for name in archive)
        best, called = archive["train_score"], archive["called"] & (archive["side"] >= 0)
    with (folder / "calls.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert sorted(int(row["sample"]) for row in rows) == list(range(24))
    assert {int(row["sample"]) for row in rows if row["called"]} == set(np.flatnonzero(called))
    listed = [float(row["score"]) for row in rows]
    assert listed == sorted(listed, reverse=True)
    assert all(float(row["score"]) == pytest.approx(best[int(row["sample"])], abs=1e-4) for row in rows)
    assert [line.split()[0] for line in said] == ["data", "fit", "sample", "detector", "measure", "report"]
    said.clear()
    again, _ = run(settings, say=said.append)
    assert again == result
    assert "nothing to do" in said[-1]


@pytest.mark.smoke
def test_a_run_at_sides_that_differ(write_folder: Write, tmp_path: Path) -> None:
    settings = RunSettings("replay", "xray", str(write_folder()), (24, 40), "smoke", samples=12, out=tmp_path)
    result, folder = run(settings)
    assert result.identity.shape == (24, 40)
    assert result.metrics["copy_rate"].value > 0.9
    with np.load(folder / "samples.npz", allow_pickle=False) as archive:
        assert archive["samples"].shape == (12, 24, 40)
    # equal sides are what one side is: the same identity, so the same run
    square = [replace(settings, model="noise", size=size) for size in (32, (32, 32))]
    whole = [load_splits(TASKS.get("xray"), one.data, one.size, store=Store(tmp_path / ".stages"))[0] for one in square]
    assert identity_of(square[0], whole[0]) == identity_of(square[1], whole[1])


def test_metrics_have_intervals_that_hold_their_values(write_folder: Write, tmp_path: Path) -> None:
    settings = RunSettings("replay", "xray", str(write_folder()), 32, "smoke", samples=24, out=tmp_path)
    result, _ = run(settings)
    expected = {"copy_rate", "memorized_patients", "memorized_rate", "train_share", "fd_ssl", "kid_ssl"}
    expected |= {"precision", "recall", "density", "coverage", "ms_ssim", "false_discovery_rate"}
    expected |= {"copy_evidence", "sensitivity", "memorized_ceiling", "fd_ssl_of_train"}
    assert expected <= set(result.metrics)
    for metric in result.metrics.values():
        assert np.isfinite(metric.value)
        if metric.low is not None and metric.high is not None:
            assert metric.low <= metric.value + 1e-9
            assert metric.value <= metric.high + 1e-9
    assert result.control
    assert result.metrics["copy_rate"].value == 1  # perturbed copies of train, all found
    assert result.challenge.thresholds["tau"] == result.threshold["tau"]
    assert result.challenge.summary["sensitivity"] == result.metrics["sensitivity"]


def test_seeds_share_the_detector_and_not_the_samples(write_folder: Write, tmp_path: Path) -> None:
    data = str(write_folder())
    first, one = run(RunSettings("noise", "xray", data, 32, "smoke", samples=8, seed=0, out=tmp_path))
    second, two = run(RunSettings("noise", "xray", data, 32, "smoke", samples=8, seed=1, out=tmp_path))
    assert first.run_id != second.run_id
    assert len(list((tmp_path / ".stages" / "detector").glob("*/key.json"))) == 1
    with np.load(one / "samples.npz") as a, np.load(two / "samples.npz") as b:
        assert not np.array_equal(a["samples"], b["samples"])


def test_a_stored_fit_is_not_mistaken_for_another_models(write_folder: Write, tmp_path: Path) -> None:
    data = str(write_folder())
    half = run(RunSettings("replay", "xray", data, 32, "smoke", {"share": "0.5"}, samples=8, out=tmp_path))[0]
    whole = run(RunSettings("replay", "xray", data, 32, "smoke", samples=8, out=tmp_path))[0]
    assert half.identity.parameters["share"] == 0.5
    assert whole.identity.parameters["share"] == 1.0
    assert half.run_id != whole.run_id


def test_a_device_that_is_not_there(write_folder: Write, tmp_path: Path) -> None:
    settings = RunSettings("noise", "xray", str(write_folder()), 32, "smoke", device="cuda:9", out=tmp_path)
    with pytest.raises(MemobenchError, match=r'device "cuda:9" cannot be used.*choose --device cpu'):
        run(settings)


@pytest.mark.slow
def test_killed_three_times_ends_like_a_run_that_was_not(write_folder: Write, tmp_path: Path) -> None:
    data = write_folder()
    whole = subprocess.run(
        [sys.executable, "-c", BENCH, *_words("ldm", data, tmp_path / "whole")], capture_output=True, check=False
    )
    assert whole.returncode == 0, whole.stderr
    words = _words("ldm", data, tmp_path / "killed")
    for stage in ("data", "fit", "detector"):
        process = _start(words)
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip().startswith(stage):  # this stage is done: the next one is under way
                break
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not list((tmp_path / "killed").glob("*/result.json"))
    last = subprocess.run([sys.executable, "-c", BENCH, *words], capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert "stored" in last.stderr
    assert _timeless(tmp_path / "killed") == _timeless(tmp_path / "whole")


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_loses_nothing(write_folder: Write, tmp_path: Path) -> None:
    process = _start(_words("ldm", write_folder(), tmp_path / "runs"))
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith("data"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 1
    assert "interrupted; the same command goes on where it stopped" in rest
    assert "Traceback" not in rest
    assert list((tmp_path / "runs" / ".stages" / "data").glob("*/key.json"))


@pytest.mark.slow
@pytest.mark.kits
@pytest.mark.parametrize(
    ("kit", "task"), [("xray", "xray"), ("ct", "ct2d"), ("mr", "mr2d"), ("ct3d", "ct"), ("mr3d", "mr")]
)
def test_a_smoke_run_on_each_real_kit(kits: Path, tmp_path: Path, kit: str, task: str) -> None:
    result, _ = run(RunSettings("replay", task, str(kits / kit), None, "smoke", samples=32, out=tmp_path))
    assert result.counts["train_patients"] == result.counts["holdout_patients"]
    assert result.metrics["train_share"].value > 0.5
