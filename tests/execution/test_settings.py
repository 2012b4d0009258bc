from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError, UsageError
from memobench.cli.main import bench, main
from memobench.execution.settings import HERE, LIBRARIES, Execution

COMMANDS = ("run", "study", "calibrate", "challenge", "leaderboard")


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_of_many_jobs_have_the_same_words(name: str) -> None:
    options = {word for one in bench.commands[name].params for word in one.opts}
    assert {"--executor", "--jobs", "--executor-set"} <= options


def test_one_job_on_this_machine_is_done_in_this_process() -> None:
    assert HERE.here
    assert Execution(jobs=1).here
    assert not Execution(jobs=2).here
    assert not Execution("ray", 1).here


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        (Execution(options={"time": "1:00"}), "--executor-set is for --executor slurm and ray"),
        (Execution("slurm"), "--executor slurm needs the time of a job: --executor-set time=4:00:00"),
        (Execution("slurm", options={"time": "soon"}), "time=soon: no time; for example time=4:00:00"),
        (Execution("slurm", options={"cluster": "mine"}), 'cluster=mine: it is "slurm", or "local"'),
        (Execution("ray", options={"partition": "x"}), "partition: jobs on Ray have num-cpus and num-gpus alone"),
        (Execution("ray", options={"num-cpus": "x"}), "num-cpus=x: give a number"),
    ],
)
def test_wrong_words_are_refused_in_one_line(
    execution: Execution, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memobench.execution.settings.find_spec", lambda name: object())
    with pytest.raises(UsageError) as refused:
        execution.check()
    assert reason in str(refused.value)


@pytest.mark.parametrize("executor", list(LIBRARIES))
def test_a_missing_library_is_said_with_its_installation(
    executor: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def absent(name: str) -> object:
        return None if name in LIBRARIES.values() else importlib.util.find_spec(name)

    monkeypatch.setattr("memobench.execution.settings.find_spec", absent)
    with pytest.raises(MemobenchError):
        Execution(executor, options={"time": "1"}).check()
    with pytest.raises(SystemExit) as ended:
        main(["study", "--task", "xray", "--executor", executor, "--out", str(tmp_path)])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"pip install 'memobench[{executor}]'" in said
    assert len(said.splitlines()) == 1


def test_a_wrong_pair_shows_a_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", "--task", "xray", "--executor", "slurm", "--executor-set", "gpu"])
    assert ended.value.code == 2
    assert "for example --executor-set time=4:00:00" in capsys.readouterr().err
