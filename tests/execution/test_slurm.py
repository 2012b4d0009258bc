"""What Slurm is asked, by a submitit whose Slurm is played; jobs themselves run in test_perform."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path
from types import ModuleType

import pytest
from memobench.execution.job import Job
from memobench.execution.slurm import Resumed, Slurm

pytest.importorskip("submitit")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="Slurm is played by shell scripts")

SBATCH = """#!/bin/bash
# plays Slurm: notes the script and runs an array's tasks one after the other
cp "$1" "$NOTED"
count=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
command=$(grep '^srun' "$1" | sed "s/^srun.*--error [^ ]* //")
for k in $(seq 0 ${count:-0}); do
  export SUBMITIT_EXECUTOR=slurm SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$k
  bash -c "$command" >/dev/null 2>&1 &
done
echo "Submitted batch job 7"
"""


def _tool(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_an_array_with_a_cap_and_the_options_of_sbatch(
    jobs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    _tool(tools, "sbatch", SBATCH)
    for name in ("srun", "sacct", "scancel"):
        _tool(tools, name, "#!/bin/bash\n")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NOTED", str(tmp_path / "script"))
    options = {"time": "4:00:00", "partition": "gpu", "gpus-per-node": "1", "mem": "32G"}
    asked = [Job(f"draw {seed}", jobs.numbers, (seed, 2)) for seed in range(3)]
    answers = dict(Slurm(tmp_path / "runs", 2, options).answers(list(enumerate(asked))))
    assert sorted(answers) == [0, 1, 2]
    assert [float(answers[seed].value[0]) for seed in range(3)] == [jobs.numbers(seed, 2)[0] for seed in range(3)]
    script = (tmp_path / "script").read_text()
    for line in ("array=0-2%2", "time=240", "partition=gpu", "gpus-per-node=1", "mem=32G"):
        assert f"#SBATCH --{line}\n" in script


def test_a_preempted_job_is_queued_again_as_it_was(jobs: ModuleType, tmp_path: Path) -> None:
    """Submitit's local executor plays the preemption: the signal ends the job, and it is begun again."""
    import submitit

    executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=30)
    job = executor.submit(Resumed(), Job("slow", jobs.twice_begun, (str(tmp_path),)))
    for _ in range(600):
        if list(tmp_path.glob("begun-*")):
            break
        time.sleep(0.05)
    (first,) = tmp_path.glob("begun-*")
    os.kill(int(first.name.split("-")[1]), signal.SIGUSR2)
    assert job.result().value == "went on"
    assert len(list(tmp_path.glob("begun-*"))) == 2
