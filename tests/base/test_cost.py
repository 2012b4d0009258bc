from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from memobench.base import cost
from memobench.base.cost import Trained, losses_csv, peak_memory, write_scalars
from memobench.base.errors import UsageError
from memobench.results import Result
from memobench.training.acceleration import Acceleration, accelerated
from memobench.training.fitting import training_cost


def test_losses_are_kept_to_float32() -> None:
    losses = np.random.default_rng(0).random(50, dtype=np.float32)
    rows = losses_csv([Trained("a b", losses, 1, 1.0)]).splitlines()[1:]
    assert [row.rsplit(",", 1)[0] for row in rows] == [f"a b,{step}" for step in range(50)]
    np.testing.assert_allclose([float(row.rsplit(",", 1)[1]) for row in rows], losses, rtol=1e-6)


def test_memory_of_a_process_grows_with_what_it_holds() -> None:
    before, whose = peak_memory("cpu")
    held = np.ones(2**27, dtype=np.uint8)
    after, _ = peak_memory("cpu")
    assert whose == "process"
    assert held.nbytes < after < 64 * 2**30
    assert after >= before


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not cost.has_tensorboard()
    write_scalars(tmp_path / "log", "net", np.ones(3, dtype=np.float32), 0)
    assert not list(tmp_path.iterdir())


def test_the_cost_of_a_fit_says_how_it_was_computed() -> None:
    trained = [Trained("net", np.ones(3, dtype=np.float32), images=300, seconds=1.5)]
    with accelerated(Acceleration("bfloat16", compile=True)):
        found = training_cost(trained, "cpu")
    assert found.networks["net"].images_per_second == 200
    assert (found.precision, found.compiled, found.processes) == ("bfloat16", True, 1)
    assert training_cost([], "cpu").precision == "float32"
    assert training_cost([], "cpu").networks == {}


def test_results_without_a_cost_still_load() -> None:
    assert not Result.model_fields["training"].is_required()


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match='unknown precision "bfloat"; did you mean "bfloat16"'):
        Acceleration("bfloat")


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    held = np.ones(60_000_000)  # 480 MB
    code = "from memobench.base.cost import peak_memory; print(peak_memory('cpu')[0])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < held.nbytes < peak_memory("cpu")[0]
