"""The guide's two complete files do what the guide says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCH = (
    f"import sys; sys.path.insert(0, {str(ROOT / 'benchmark')!r}); "
    "from memobench.cli.main import main; main(sys.argv[1:])"
)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the guide's Python blocks as the files that it names."""
    folder = tmp_path_factory.mktemp("guide")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = re.findall(r"Save this as `(\w+\.py)`", text)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert names == ["blur.py", "edges.py"]
    for name, block in zip(names, blocks, strict=True):
        (folder / name).write_text(block, encoding="utf-8")
    return folder


def _bench(*words: str) -> str:
    # a process of its own, so that no other test finds these entries in the registry
    done = subprocess.run([sys.executable, "-c", BENCH, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_generator_keeps_the_contract(guide: Path) -> None:
    text = _bench("check", str(guide / "blur.py"))
    assert "passed" in text
    assert "FAILED" not in text


def test_the_detector_is_challenged(guide: Path, write_folder: Callable[..., Path], tmp_path: Path) -> None:
    words = ["challenge", "--plugin", str(guide / "edges.py"), "--task", "xray", "--detectors", "edges,l2"]
    words += ["--data", str(write_folder()), "--size", "32", "--count", "6", "--out", str(tmp_path / "runs"), "--json"]
    result = json.loads(_bench(*words))
    assert set(result["detectors"]) == {"edges", "l2"}
    found = {row["perturbation"]: row["metrics"]["tpr_at_1"]["value"] for row in result["detectors"]["edges"]["rows"]}
    assert found["unchanged"] == 1
    assert found["brightness"] > 0.5  # what the docstring says
    assert found["flip"] < 0.5
