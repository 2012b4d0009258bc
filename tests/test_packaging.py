"""The wheel, built through the sdist, holds one top-level package with every content file in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.mark.slow
def test_one_top_level_name_and_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"memobench"}
    inside = {name.removeprefix("memobench/") for name in names}
    for folder in ("baselines", "tasks", "leaderboard"):
        for file in (ROOT / folder).rglob("*.py"):
            assert str(file.relative_to(ROOT)) in inside
    assert "leaderboard/provenance.json" in inside
    for file in (ROOT / "benchmark" / "memobench").rglob("*.py"):
        assert str(file.relative_to(ROOT / "benchmark" / "memobench")) in inside
    assert not [name for name in names if name.endswith((".pyc", ".png", ".npz"))]


@pytest.mark.slow
def test_the_wheel_lists_and_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    work = tmp_path / "empty"
    work.mkdir()
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from memobench.cli.main import main; main(sys.argv[1:])"
    for words in (
        ["list", "models"],
        ["run", "--model", "noise", "--task", "xray", "--preset", "smoke", "--size", "32"],
    ):
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, *words], capture_output=True, text=True, check=False, cwd=work
        )
        assert done.returncode == 0, done.stderr
        assert "memobench" not in done.stderr.lower() or "error" not in done.stderr.lower()
    assert list(work.glob("runs/*/result.json"))
