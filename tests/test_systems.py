"""The commands on machines that lack something: modules, a home, a user's name, Unicode, file handles, case."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memobench.audit.clean import Sorted, write_clean
from memobench.base.errors import MemobenchError
from memobench.cli.main import main, system_reason
from PIL import Image

Write = Callable[..., Path]
BENCHMARK = Path(__file__).parents[1] / "benchmark"
NAMESPACE = ["unshare", "--user", "--map-user=34567", "--map-group=34567"]
HOSTILE = {
    "LANG": "C",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "TMPDIR": "/gone",
    "HOME": "/gone",
}


def _bare(tmp_path: Path) -> dict[str, str]:
    """A machine without ``fcntl`` and ``resource`` (in every process), home, Unicode, and the user's folders."""
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text("import sys\nsys.modules['fcntl'] = sys.modules['resource'] = None\n")
    path = os.pathsep.join([str(site), str(BENCHMARK)])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}


def _bench(words: list[str], environment: dict[str, str], before: list[str] | None = None) -> tuple[int, str]:
    limit = ["bash", "-c", 'ulimit -n 64; exec "$@"', "bench"] if os.name == "posix" else []
    command = [*limit, *(before or []), sys.executable, "-m", "memobench.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert "Traceback" not in text, text[-3000:]
    assert "UnicodeEncodeError" not in text
    return done.returncode, text


def _odd_folder(tmp_path: Path) -> Path:
    folder = tmp_path / 'a patient\'s "胸部" (1)'
    folder.mkdir()
    return folder


@pytest.mark.smoke
def test_data_check_without_fcntl_resource_home_unicode_and_many_handles(tmp_path: Path) -> None:
    folder = _odd_folder(tmp_path)
    for k in range(12):
        values = np.random.default_rng(k).integers(0, 255, (32, 32), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"胸部 {k}.png")
    status, text = _bench(["data", "check", str(folder)], _bare(tmp_path) | HOSTILE)
    assert status == 0, text
    assert "12" in text


@pytest.mark.slow
def test_run_and_audit_on_the_same_machine(write_folder: Write, tmp_path: Path) -> None:
    data, odd = write_folder(patients=24, shape=(32, 32)), _odd_folder(tmp_path)
    words = ["run", "--model", "noise", "--task", "xray", "--preset", "smoke", "--size", "32", "--samples", "8"]
    status, text = _bench([*words, "--data", str(data), "--out", str(odd)], _bare(tmp_path) | HOSTILE)
    assert status == 0, text
    for side in range(3):
        (odd / f"{side}").mkdir()
        for file in sorted(data.glob("*_0.png"))[side::3]:
            shutil.copy(file, odd / f"{side}" / f"胸{file.name}")
    folders = ["--synthetic", str(odd / "0"), "--train", str(odd / "1"), "--holdout", str(odd / "2")]
    words = ["audit", *folders, "--preset", "smoke", "--out", str(odd / "audit")]
    home = {"TMPDIR": "/gone", "HOME": "/gone"}  # file names stay in UTF-8: a report cannot show others yet
    status, text = _bench(words, _bare(tmp_path) | home)
    assert status in (0, 3), text
    assert (odd / "audit").is_dir()


@pytest.mark.slow
def test_a_user_without_a_name_and_a_home_runs_as_any(write_folder: Write, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("user namespaces cannot be made here")
    data, out = write_folder(shape=(32, 32)), tmp_path / "runs"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BENCHMARK), "OMP_NUM_THREADS": "2"}
    words = ["run", "--model", "ldm", "--task", "xray", "--preset", "smoke", "--size", "32", "--samples", "8"]
    status, text = _bench([*words, "--data", str(data), "--out", str(out)], environment, NAMESPACE)
    assert status == 0, text
    status, text = _bench(["data", "fetch", "decathlon_spleen"], environment, NAMESPACE)
    assert status == 1
    assert "set MEMOBENCH_HOME" in text


def test_names_that_differ_in_case_alone_are_not_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("Scan.png", "scan.png"):
        (source / name).write_text(name)
    copy = shutil.copyfile

    def as_on_macos(one: Path, other: Path) -> object:
        return copy(one, other.with_name(other.name.lower()))

    exists = Path.exists
    monkeypatch.setattr(shutil, "copyfile", as_on_macos)
    monkeypatch.setattr(Path, "exists", lambda self: exists(self) or exists(self.with_name(self.name.lower())))
    with pytest.raises(MemobenchError, match=r"cannot hold scan\.png beside another file .* case"):
        write_clean(tmp_path / "clean", source, Sorted(("Scan.png", "scan.png"), {}))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(24, "Too many open files", "x.png"), "ulimit -n"),
        (OSError(12, "Cannot allocate memory"), "not enough memory"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/gone']"), "set TMPDIR"),
        (OSError(28, "No space left on device", "/out/x"), r"No space left on device \(/out/x\)"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: OSError, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("memobench.cli.main.bench.main", fail)
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    assert ended.value.code == 1
    line = capsys.readouterr().err
    assert re.search(words, line)
    assert line.count("\n") == 1
    assert system_reason(ConnectionResetError(104, "reset")) is None
