"""The guide's complete files do what the guide says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from memobench.data.public._source import SOURCES
from memobench.detection.detectors import DETECTORS
from memobench.features import FEATURES
from memobench.generator import GENERATORS
from memobench.task import TASKS

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
    assert names == ["blur.py", "tiny_vae.py", "edges.py"]
    for name, block in zip(names, blocks, strict=True):
        (folder / name).write_text(block, encoding="utf-8")
    return folder


def _bench(*words: str) -> str:
    # a process of its own, so that no other test finds these entries in the registry
    done = subprocess.run([sys.executable, "-c", BENCH, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["blur.py", "tiny_vae.py"])
def test_the_generators_keep_the_contract(name: str, guide: Path) -> None:
    text = _bench("check", str(guide / name))
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


def test_a_script_of_plain_torch_is_measured(write_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = ["--task", "xray", "--data", str(write_folder()), "--out", str(tmp_path / "runs")]
    _bench("data", "export", str(tmp_path / "xray"), "--only", "train", *data)
    script = ROOT / "benchmark" / "examples" / "plain_torch.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 65
    made = tmp_path / "samples.npz"
    subprocess.run([sys.executable, str(script), str(tmp_path / "xray" / "train"), str(made), "3"], check=True)
    words = ["--samples", str(made), "--name", "tiny-vae", "--trained-on", "task", "--count", "24", "--preset", "smoke"]
    result = json.loads(_bench("measure", *data, *words, "--json"))
    assert result["identity"]["origin"] == {
        "kind": "samples",
        "digest": result["identity"]["origin"]["digest"],
        "trained_on": "task",
    }
    assert result["counts"]["samples"] == 24


def test_the_six_answers_are_places_that_there_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    answers = re.findall(r"^\| where (.+?)\? \| `([\w/.]+)`", text, flags=re.MULTILINE)
    named = {question: place for question, place in answers}
    for place in named.values():
        assert (ROOT / "benchmark" / "memobench" / place).exists() or (ROOT / place).is_dir(), place
    defined = {
        "is tau decided": "def threshold(",
        "is a DICOM window applied": "def apply(",
        "is a row of the board ranked": "def rank_rows(",
    }
    for question, definition in defined.items():
        assert definition in (ROOT / "benchmark" / "memobench" / named[question]).read_text(encoding="utf-8"), question
    assert len(named) >= 6
    for question, registry in (("data set", SOURCES), ("generator", GENERATORS), ("copy detector", DETECTORS)):
        place = named[f"do I add a {question}"]
        folders = {file.parent.resolve() for file in registry.files().values()}
        assert any((root / place).resolve() in folders for root in (ROOT, ROOT / "benchmark" / "memobench")), place


def test_the_guides_name_entry_point_groups_that_there_are() -> None:
    groups = {registry.group for registry in (SOURCES, GENERATORS, DETECTORS, FEATURES, TASKS)}
    for guide in ("CONTRIBUTING.md", "tasks/README.md", "README.md"):
        text = " ".join((ROOT / guide).read_text(encoding="utf-8").split())
        for name in re.findall(r"the group `([\w.]+)`", text):
            assert name in groups, f"{guide}: {name}"
