from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError
from memobench.base.home import home
from memobench.base.processors import processors, quota, workers
from memobench.base.startup import BLOCK_MS, SPINS, settle

BENCHMARK = Path(__file__).parents[2] / "benchmark"


def test_threads_wait_for_a_short_time_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {"HOME": "/", "USER": "x"}
    settle(environment)
    assert (environment["GOMP_SPINCOUNT"], environment["KMP_BLOCKTIME"]) == (str(SPINS), str(BLOCK_MS))
    own = {"GOMP_SPINCOUNT": "7", "KMP_BLOCKTIME": "200", "USER": "x"}
    settle(own)
    assert (own["GOMP_SPINCOUNT"], own["KMP_BLOCKTIME"]) == ("7", "200")
    active = {"OMP_WAIT_POLICY": "active", "USER": "x"}
    settle(active)
    assert "GOMP_SPINCOUNT" not in active
    assert "KMP_BLOCKTIME" not in active


def test_it_is_settled_before_torch_is_there() -> None:
    script = (
        "import sys, memobench, os; assert 'torch' not in sys.modules and 'numpy' not in sys.modules; "
        "print(os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP", "KMP", "OMP"))}
    found = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"PYTHONPATH": str(BENCHMARK)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(SPINS)


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 34567")

    monkeypatch.setattr("getpass.getuser", unknown)
    environment: dict[str, str] = {}
    settle(environment)
    assert environment["USER"].startswith("uid") or environment["USER"] == "user"
    named = {"LOGNAME": "me"}
    settle(named)
    assert "USER" not in named


@pytest.mark.parametrize("kind", ["no home", "read-only home", "home that is not there"])
def test_without_a_home_libraries_keep_their_files_elsewhere(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere() -> Path:
        if kind == "no home":
            raise RuntimeError("Could not determine home directory.")
        return tmp_path if kind == "read-only home" else tmp_path / "gone"

    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setattr(os, "access", lambda *_: kind != "read-only home")
    environment = {"USER": "x"}
    settle(environment)
    assert "torchinductor" in environment["TORCHINDUCTOR_CACHE_DIR"]
    own = {"USER": "x", "TORCHINDUCTOR_CACHE_DIR": "/own"}
    settle(own)
    assert own["TORCHINDUCTOR_CACHE_DIR"] == "/own"


def test_a_user_without_a_home_is_told_which_variable_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEMOBENCH_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(MemobenchError, match="set MEMOBENCH_HOME"):
        home()
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path))
    assert home() == tmp_path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("max 100000", None), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("", None)],
)
def test_a_containers_quota_counts(text: str, wanted: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert quota(tmp_path / "cpu.max") == wanted
    assert quota(tmp_path / "gone") is None


def test_the_number_of_workers_is_the_users_or_what_the_process_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.base.processors.quota", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert processors() == workers() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "8,2")
    assert workers() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    assert workers() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
