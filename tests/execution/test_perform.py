"""The contract of executors, held by each of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from memobench.base.errors import MemobenchError, UsageError
from memobench.execution.job import Job
from memobench.execution.perform import TIMES, Workplace, perform, performed
from memobench.execution.settings import HERE, Execution

SUBMITIT = {"cluster": "local"}
KINDS = {
    "here": HERE,
    "local": Execution(jobs=2),
    "slurm": Execution("slurm", 2, SUBMITIT),
    "ray": Execution("ray", 2),
}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are killed by signals")


@pytest.fixture(scope="module")
def cluster(jobs: ModuleType) -> Iterator[None]:
    """One local Ray cluster for all tests of this file; each would start its own else."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )
    yield
    ray.shutdown()


@pytest.fixture(params=list(KINDS))
def execution(request: pytest.FixtureRequest) -> Execution:
    if request.param == "slurm":
        pytest.importorskip("submitit")
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return KINDS[request.param]


def test_values_come_in_order_and_are_the_same_everywhere(
    execution: Execution, jobs: ModuleType, tmp_path: Path
) -> None:
    asked = [Job(f"draw {seed}", jobs.numbers, (seed, 5)) for seed in range(4)]
    seen: list[int] = []
    answers = perform(asked, Workplace(execution, tmp_path), ended=lambda number, answer: seen.append(number))
    assert sorted(seen) == [0, 1, 2, 3]
    found = np.stack([answer.value for answer in answers])
    assert found.tobytes() == np.stack([jobs.numbers(seed, 5) for seed in range(4)]).tobytes()
    assert not (tmp_path / ".jobs").exists()  # of jobs that succeeded nothing is left


def test_a_failure_is_named_and_the_others_are_done(execution: Execution, jobs: ModuleType, tmp_path: Path) -> None:
    asked = [Job("first", jobs.fail, ("this",)), Job("second", jobs.numbers, (0, 2))]
    answers = perform(asked, Workplace(execution, tmp_path))
    assert "this cannot be done; give another" in answers[0].error
    assert answers[1].value is not None
    with pytest.raises(MemobenchError, match=r"1 of 2 jobs failed; the same command goes on. first: this cannot"):
        performed(asked, Workplace(execution, tmp_path))
    wrong = [Job("word", jobs.refuse, ("x",))]
    with pytest.raises(UsageError, match="no such word: x"):
        performed(wrong, Workplace(execution, tmp_path))


@pytest.mark.parametrize("execution", ["local", "slurm", "ray"], indirect=True)
def test_a_killed_worker_costs_its_own_job(execution: Execution, jobs: ModuleType, tmp_path: Path) -> None:
    asked = [Job(f"job {seed}", jobs.died_once, (str(tmp_path), seed)) for seed in range(4)]
    said: list[str] = []
    assert performed(asked, Workplace(execution, tmp_path, say=said.append)) == [0, 1, 2, 3]
    begun = Counter(file.name.split("-")[1] for file in tmp_path.glob("begun-*"))
    assert begun == {"0": 1, "1": 2, "2": 1, "3": 1}
    assert len(said) == 1
    assert said[0].startswith("job 1: its worker was lost")


@pytest.mark.parametrize("execution", ["local"], indirect=True)
def test_a_job_that_kills_every_worker_ends_as_a_failure(
    execution: Execution, jobs: ModuleType, tmp_path: Path
) -> None:
    asked = [Job("deadly", jobs.die), Job("other", jobs.numbers, (0, 1))]
    said: list[str] = []
    answers = perform(asked, Workplace(execution, tmp_path, say=said.append))
    assert len(said) == TIMES - 1
    assert answers[0].error == "process ended with status -9"
    assert not answers[1].error


@pytest.mark.parametrize("execution", ["local", "slurm", "ray"], indirect=True)
def test_errors_of_a_program_are_one_line_and_relative_paths_mean_the_same(
    execution: Execution, jobs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    crashed, where, nowhere = perform(
        [Job("crash", jobs.crash), Job("where", jobs.where), Job("x", jobs.where, folder=str(tmp_path / "absent"))],
        Workplace(execution, tmp_path),
    )
    assert crashed.error.startswith("KeyError: 'absent'")
    assert where.value == str(tmp_path)
    assert "absent on " in nowhere.error
    assert "start from a folder that all machines share" in nowhere.error


@pytest.mark.parametrize("execution", ["local", "slurm", "ray"], indirect=True)
def test_no_more_run_at_once_than_asked(execution: Execution, jobs: ModuleType, tmp_path: Path) -> None:
    asked = [Job(f"job {name}", jobs.most_at_once, (str(tmp_path), name)) for name in range(5)]
    assert max(performed(asked, Workplace(execution, tmp_path))) <= 2


@pytest.mark.slow  # it starts a cluster of its own
def test_a_cluster_of_its_own_is_started_and_ended(jobs: ModuleType, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        ray.shutdown()
    asked = [Job(f"draw {seed}", jobs.numbers, (seed, 2)) for seed in range(2)]
    found = performed(asked, Workplace(Execution("ray", 2, {"num-cpus": "0.5"}), tmp_path))
    assert np.stack(found).tobytes() == np.stack([jobs.numbers(seed, 2) for seed in range(2)]).tobytes()
    assert not ray.is_initialized()
    with pytest.raises(UsageError, match="num-gpus=64: this machine has"):
        performed(asked, Workplace(Execution("ray", 2, {"num-gpus": "64"}), tmp_path))
