from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.training.processes import (
    ALONE,
    Group,
    all_reduce,
    broadcast,
    current,
    device_of_process,
    launched,
    process_group,
    shard,
)

ROOT = Path(__file__).parents[2]
BENCH = "from memobench.cli.main import main; import sys; main(sys.argv[1:])"
FIT = """
import sys
import numpy as np
from memobench.generator import GENERATORS, Context
from memobench.images import Images
from memobench.training.processes import current, launched, process_group

name, accumulate, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kind = GENERATORS.get(name)
names = np.array([f"p{i}" for i in range(8)])
pixels = np.random.default_rng(0).random((8, 2, 2), dtype=np.float32).repeat(16, axis=1).repeat(16, axis=2)
told = []
model = kind(**{**kind.PRESETS["smoke"], "accumulate": accumulate, "steps": 6})
with process_group("cpu"):
    assert current().count == launched().count
    model.fit(Images(pixels, names, names), context=Context(seed=1, report=told.append))
    samples = model.sample(20, seed=2)
rank = launched().index
np.savez(f"{out}/{rank}.npz", samples=samples, losses=told[-1].losses, images=told[-1].images)
"""


def together_in(count: int, code: str, words: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run code in several processes, as torchrun would; one's environment is that of a plain start."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmark"), "OMP_NUM_THREADS": "1"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(count):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        launcher = {name: str(value) for name, value in own.items()} if count > 1 else {}
        command = [sys.executable, "-c", code, *words]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=environment | launcher, stdout=pipe, stderr=pipe, text=True))
    done = []
    for process in started:
        out, error = process.communicate(timeout=600)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, error))
    for one in done:
        assert one.returncode == 0, one.stderr
    return done


def test_without_a_launcher_a_process_is_alone() -> None:
    assert launched() == current() == ALONE
    with process_group("cpu") as group:
        assert group.main
        assert broadcast("word") == "word"
        assert list(shard(range(5))) == [0, 1, 2, 3, 4]
        array = np.arange(3, dtype=np.float32)
        assert all_reduce(array) is array


def test_the_launchers_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launched() == Group(4, 2)
    assert not launched().main
    assert device_of_process("cuda") == "cuda:1"
    assert device_of_process("cuda:0") == "cuda:0"
    assert device_of_process("cpu") == "cpu"
    assert current() == ALONE  # nothing is shared before they meet


@pytest.mark.smoke
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        together_in(count, FIT, ["vae", "2", str(tmp_path / str(count))])
    one, first, second = (np.load(tmp_path / name) for name in ("1/0.npz", "2/0.npz", "2/1.npz"))
    np.testing.assert_array_equal(first["losses"], second["losses"])
    np.testing.assert_array_equal(first["samples"], second["samples"])
    assert one["images"] == first["images"] == 6 * 2 * 8
    np.testing.assert_allclose(first["losses"], one["losses"], rtol=1e-4)
    np.testing.assert_allclose(first["samples"], one["samples"], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ldm", "vqgan"])
def test_a_run_of_two_processes_writes_one_result(
    model: str, write_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, out = write_folder(), tmp_path / "runs"
    words = ["run", "--model", model, "--task", "xray", "--preset", "smoke", "--size", "32", "--samples", "24"]
    words += ["--data", str(data), "--device", "cpu", "--set", "accumulate=2", "--out"]
    main, other = together_in(2, BENCH, [*words, str(out)])
    assert "Decision: " in main.stdout
    assert other.stdout == ""
    (file,) = out.glob("*/result.json")
    result = json.loads(file.read_text())
    assert result["training"]["processes"] == 2
    (losses,) = (out / ".stages" / "fit").glob("*/losses.csv")
    rows = losses.read_text().splitlines()
    assert len(rows) == len(set(rows)) == 1 + 20 + 20  # each step of both networks once

    together_in(1, BENCH, [*words, str(tmp_path / "alone")])
    (alone,) = (tmp_path / "alone").glob("*/result.json")
    single = json.loads(alone.read_text())
    assert single["run_id"] == result["run_id"]
    assert single["metrics"].keys() == result["metrics"].keys()
    (same,) = (tmp_path / "alone" / ".stages" / "fit").glob("*/losses.csv")
    if model == "ldm":  # vqgan's codebook moves with each minibatch, and two of them move apart within a step
        seen = [np.loadtxt(path, delimiter=",", skiprows=1, usecols=2) for path in (losses, same)]
        np.testing.assert_allclose(*seen, rtol=1e-2)


@pytest.mark.smoke
def test_minibatches_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from memobench.base.errors import UsageError
    from memobench.generator import Context
    from memobench.training.loop import Training, processes, train_loop
    from torch import nn

    monkeypatch.setattr(processes, "current", lambda: Group(2, 0))
    with pytest.raises(UsageError, match=r"2 processes cannot share 3 minibatches.*--set accumulate=2"):
        train_loop(
            nn.Linear(1, 1),
            lambda k: pytest.fail("nothing is trained"),
            Training(steps=1, learning_rate=0.1, accumulate=3),
            name="line",
            context=Context(seed=0),
        )
