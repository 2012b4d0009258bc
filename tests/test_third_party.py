"""A package of somebody else's adds a model by an entry point: installed, listed, checked."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tests" / "packages" / "third_party"
BENCH = "from memobench.cli.main import main; import sys; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    if not (importlib.util.find_spec("pip") and importlib.util.find_spec("hatchling")):
        lay_out(target)  # no back end to build with, and perhaps no network to get one
        return target
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(PACKAGE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def lay_out(target: Path) -> None:
    """Put the package where pip would: its module, and what its pyproject.toml says in the form of an installed one."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copy(PACKAGE / "third_party_generator.py", target)
    record = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    record.mkdir()
    words = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    (record / "METADATA").write_text("\n".join(words) + "\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (record / "entry_points.txt").write_text("\n".join(lines) + "\n")


def bench(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT / "benchmark")])
    return subprocess.run(
        [sys.executable, "-c", BENCH, *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_model_is_listed(site: Path) -> None:
    assert list(site.glob("third_party_generator-*.dist-info"))
    done = bench(site, "list", "models", "--json")
    assert done.returncode == 0, done.stderr
    assert "patchwork" in json.dumps(json.loads(done.stdout))


def test_its_model_is_checked_in_both_dimensions(site: Path) -> None:
    done = bench(site, "check", "patchwork")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["passed  patchwork 2D", "passed  patchwork 3D"]


def test_without_the_package_there_is_no_such_model(tmp_path: Path) -> None:
    done = bench(tmp_path, "check", "patchwork")
    assert done.returncode == 2
    assert 'unknown model "patchwork"' in done.stderr
