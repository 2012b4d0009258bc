from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError
from memobench.cli.main import main
from memobench.report import trackers
from memobench.report.trackers import LIBRARIES, TRACKERS, check_trackers, log_run, record_of
from memobench.results import Result
from memobench.submissions.check import parse_submission

HERE = [name for name, library in LIBRARIES.items() if importlib.util.find_spec(library) is not None]
LOSSES = "network,step,loss\nautoencoder,0,0.5\nautoencoder,1,0.25\ndiffusion net,0,2\n"


@pytest.fixture
def result() -> Result:
    file = next(Path(__file__).parents[2].glob("leaderboard/submissions/xray/xray-vae-*/submission.json"))
    return parse_submission(file.read_bytes()).result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "losses.csv").write_text(LOSSES, encoding="utf-8")
    return tmp_path


def test_numbers_and_the_decision_are_logged_and_nothing_of_patients(result: Result, folder: Path) -> None:
    record = record_of(result, folder)
    assert record.decision == result.decision.word
    assert record.numbers["copy_rate"] == result.metrics["copy_rate"].value
    assert record.numbers["copy_rate_low"] == result.metrics["copy_rate"].low
    assert record.config["model"] == "vae"
    assert record.config["model.steps"] == result.identity.parameters["steps"]
    assert record.losses == {"autoencoder": [0.5, 0.25], "diffusion_net": [2.0]}
    assert record_of(result, folder / "none").losses == {}
    assert all(isinstance(value, str | int | float) for value in record.config.values())
    text = json.dumps([dict(record.config), dict(record.numbers), record.decision])
    assert "sample" not in text.replace("samples", "")  # no file and no patient is named
    assert str(folder) not in text


def test_a_tracker_that_is_not_installed_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MemobenchError, match=r"--log wandb needs wandb.*pip install 'memobench\[wandb\]'"):
        check_trackers(["wandb"])
    check_trackers([])


def test_the_command_names_the_trackers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--model", "mean", "--task", "xray", "--log", "paper"])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in TRACKERS)


def test_a_tracker_that_fails_loses_nothing(result: Result, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(record: trackers.Record) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(trackers, "TRACKERS", {"mlflow": fail})
    with pytest.raises(MemobenchError, match=r"--log mlflow did not take the run \(no route to host\); its files are"):
        log_run(result, folder, ["mlflow"])


@pytest.mark.skipif("tensorboard" not in HERE, reason="needs the extra tensorboard")
def test_tensorboard_reads_what_was_logged(result: Result, folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_run(result, folder, ["tensorboard"])
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    assert [event.value for event in read.Scalars("loss/autoencoder")] == [0.5, 0.25]
    assert read.Scalars("measured/fd_ssl")[0].value == pytest.approx(result.metrics["fd_ssl"].value)


@pytest.mark.skipif("mlflow" not in HERE, reason="needs the extra mlflow")
def test_mlflow_holds_what_was_logged(result: Result, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((folder / "mlruns").as_uri())
    log_run(result, folder, ["mlflow"])
    experiment = mlflow.MlflowClient().get_experiment_by_name("memobench")
    (run,) = mlflow.MlflowClient().search_runs([experiment.experiment_id])
    assert run.info.run_name == result.run_id
    assert run.data.metrics["copy_rate"] == pytest.approx(result.metrics["copy_rate"].value)
    assert run.data.tags["decision"] == result.decision.word
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss/autoencoder")
    assert [entry.value for entry in history] == [0.5, 0.25]


@pytest.mark.skipif("wandb" not in HERE, reason="needs the extra wandb")
def test_wandb_takes_a_run_offline(result: Result, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    log_run(result, folder, ["wandb"])
    wandb.teardown()  # its own process writes the file to the end
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    held = file.read_bytes()
    assert b"loss/autoencoder" in held
    assert b"copy_rate_low" in held
    assert result.run_id.encode() in held
